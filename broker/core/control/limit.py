"""How many calls one institution is given at a time: additive increase, multiplicative decrease.

Three rules, as in TCP's congestion avoidance:

1. `limit` successes without a drop between them raise the limit by one: about one step per round of calls.
2. A drop, that is a call lost to overload (time-out, 429, 503), multiplies the limit by 0.7.
3. Drops close together are one incident and count once.

What says nothing about load, such as a call nobody waited for any more, changes nothing. The limit starts at the
maximum, which is what the institution itself says it takes: it is trusted until it shows otherwise.
"""

from dataclasses import dataclass
from math import inf

KEPT_TENTHS = 7
"""Tenths of the limit that survive a drop. 0.7 is CUBIC's factor (RFC 9438, 4.6). Reno's 0.5 wastes half of an
institution on one lost call; at limits below ten, 0.9 is hardly a step. In whole tenths, so that no rounding error
ever takes one more."""

INCIDENT_SECONDS = 1.0
"""Drops this close to the last decrease belong to its incident. Time-outs of one incident lie as far apart as their
calls' starts, that is about one ordinary call, which takes well under a second; so one incident is one decrease. Under
lasting overload the limit still falls from 32 to 1 within nine seconds."""


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """An `AdaptiveLimit` at one moment."""

    limit: int
    maximum: int
    decreases: int
    """Incidents since the start that lowered the limit or found it at its minimum."""


class AdaptiveLimit:
    """The maximum number of calls in progress, between `minimum` and `maximum`. It does not count calls itself.

    Raises:
        ValueError: unless 1 <= minimum <= maximum.
    """

    def __init__(self, maximum: int, *, minimum: int = 1) -> None:
        if not 1 <= minimum <= maximum:
            raise ValueError(f"limit: 1 <= minimum ({minimum}) <= maximum ({maximum}) does not hold")
        self._maximum = maximum
        self._minimum = minimum
        self._limit = maximum
        self._successes = 0  # since the limit last changed
        self._decreased_at = -inf
        self._decreases = 0

    @property
    def limit(self) -> int:
        """Calls at a time."""
        return self._limit

    def on_success(self) -> None:
        """A call got its reply, whatever the reply says."""
        self._successes += 1
        if self._successes >= self._limit:
            self._change_to(self._limit + 1)

    def on_ignored(self) -> None:
        """A call ended without saying anything about load."""

    def on_dropped(self, now: float) -> None:
        """A call was lost to overload, at `now` in seconds."""
        if now - self._decreased_at < INCIDENT_SECONDS:
            return
        self._decreased_at = now
        self._decreases += 1
        self._change_to(self._limit * KEPT_TENTHS // 10)

    def statistics(self) -> LimitStatistics:
        """What a metric or a test wants to know."""
        return LimitStatistics(self._limit, self._maximum, self._decreases)

    def _change_to(self, limit: int) -> None:
        self._limit = min(max(limit, self._minimum), self._maximum)
        self._successes = 0
