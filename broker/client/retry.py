"""When to call a broker again after a failure. Pure: times are passed in.

Rules

1. A call is repeated until the time limit. Without one, it is repeated until calls have failed for `max_outage`
   seconds, with no report in between: an investigation of any size goes on as long as it progresses.
2. If the broker names a delay, the client waits that long, and up to a fifth longer, so that clients do not return all
   at once. Otherwise the delay grows exponentially, with full jitter.
3. A failure that does not look like a restart or an overload (INTERNAL, DATA_LOSS, a failed handshake and the like) is
   repeated only `_MAX_FAULTS` times in a row for one batch: it would most likely recur for ever.
"""

from collections.abc import Callable

from broker.client.errors import BrokerUnavailableError, HandshakeFailedError

_FIRST_PAUSE = 0.2  # s, doubled each time
_MAX_PAUSE = 5.0  # s
_SPREAD = 0.2  # of a delay that the broker named
_MAX_FAULTS = 5
_LIVELY = 60.0  # s; a host that has vanished is found out within 50 (`Client`'s keepalive)
_PASSING = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "DEADLINE_EXCEEDED"})
"""Statuses of a broker that restarts, drains or is overloaded, and of connections that break."""


class Outage:
    """How long calls have failed, with no report in between. Times are in seconds, of any clock.

    A call that stays open for longer than it takes to find out that nobody is there (`_LIVELY`) is at a broker that
    lives, and waits for a slow institution. So the outage begins anew with it.

    State: since when calls fail, and when those that are open began.
    """

    __slots__ = ("_limit", "_open", "_since")

    def __init__(self, max_outage: float) -> None:
        self._limit = max_outage
        self._open: list[float] = []
        self._since: float | None = None

    def called(self, now: float) -> None:
        """A call begins."""
        self._open.append(now)

    def ended(self, began: float) -> None:
        """A call that began then has ended, well or not."""
        self._open.remove(began)

    def progressed(self) -> None:
        """A report has arrived."""
        self._since = None

    def is_over_limit(self, began: float, now: float) -> bool:
        """Whether to give up, if there is no time limit: a call has failed that began then."""
        first = min([began, *self._open])
        if self._since is None or now - first > _LIVELY:
            self._since = now
        return now - self._since >= self._limit


class Attempts:
    """The attempts of one batch since it last progressed. State: how many failed, and how many with faults."""

    __slots__ = ("_failed", "_faults", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers in [0, 1)."""
        self._failed = 0
        self._faults = 0
        self._random = random

    def progressed(self) -> None:
        """A report on this batch has arrived."""
        self._failed = 0
        self._faults = 0

    def pause_after(self, failure: BrokerUnavailableError) -> float | None:
        """Seconds to wait before the next attempt; None if there should be none."""
        self._failed += 1
        self._faults += failure.code not in _PASSING or isinstance(failure, HandshakeFailedError)
        if self._faults >= _MAX_FAULTS:
            return None
        if failure.retry_after is not None:
            return failure.retry_after * (1 + _SPREAD * self._random())
        exponent = min(self._failed - 1, 16)
        return min(_MAX_PAUSE, _FIRST_PAUSE * 2.0**exponent) * self._random()
