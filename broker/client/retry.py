"""When to call a broker again after a failure. Pure: times are passed in.

Rules

1. A call is repeated until the time limit. Without one, it is repeated until no report has arrived for `max_outage`
   seconds: an investigation of any size goes on as long as it progresses.
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
_PASSING = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "DEADLINE_EXCEEDED"})
"""Statuses of a broker that restarts, drains or is overloaded, and of connections that break."""


class Outage:
    """How long nothing has arrived. State: when the last report arrived, in any batch of an investigation."""

    __slots__ = ("_limit", "_since")

    def __init__(self, now: float, max_outage: float) -> None:
        """Times in seconds, of any clock."""
        self._since = now
        self._limit = max_outage

    def progressed(self, now: float) -> None:
        """A report has arrived."""
        self._since = now

    def is_over_limit(self, now: float) -> bool:
        """Whether to give up, if there is no time limit."""
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
