"""Whether a failed call may be repeated, and how long to wait first.

Retries help against single faults and harm an institution that is down, so they are paid from a budget: every first
attempt deposits a fraction of a retry, and every retry withdraws a whole one. Over t seconds, from the start,

    retries <= ratio * first attempts + floor * (1 + t / 60)

and no burst, however good the hours before it were, exceeds `cap` plus what arrives during it.
"""

from dataclasses import dataclass

FLOOR_SECONDS = 60.0
"""Time in which the floor comes back by itself. With a floor of ten, a lane without traffic may repeat one call every
six seconds: enough for a lone court at night, and no load for an institution that is down."""


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """A `RetryBudget` at one moment."""

    tokens: float
    withdrawn: int
    refused: int


class RetryBudget:
    """Retries that may still be made. Counts calls.

    `ratio`: retries earned by one first attempt. 0.2, as in Finagle, caps the load of an institution that is down at
    1.2 times the ordinary.
    `floor`: retries in hand at the start, and what a quiet lane refills to.
    `cap`: most retries that can be saved up. 100 is what the AWS SDKs' standard retry quota pays for (500 tokens at 5).

    Raises:
        ValueError: unless ratio >= 0 and 0 <= floor <= cap.
    """

    def __init__(self, ratio: float = 0.2, floor: float = 10.0, *, cap: float = 100.0) -> None:
        if not (ratio >= 0 and 0 <= floor <= cap):
            raise ValueError(f"retry budget: ratio ({ratio:g}) or floor ({floor:g}) negative, or cap ({cap:g}) < floor")
        self._ratio = ratio
        self._floor = floor
        self._cap = cap
        self._tokens = floor
        self._refilled_at = 0.0  # not read before the first withdrawal: until then no token is missing
        self._withdrawn = 0
        self._refused = 0

    def deposit(self, n: int = 1) -> None:
        """N calls were made for the first time."""
        self._tokens = min(self._cap, self._tokens + n * self._ratio)

    def withdraw(self, now: float, n: int = 1) -> bool:
        """Pay for n retries, all or none, at `now` in seconds. False: the call must not be repeated."""
        self._refill(now)
        if self._tokens < n:
            self._refused += n
            return False
        self._tokens -= n
        self._withdrawn += n
        return True

    def statistics(self) -> RetryStatistics:
        """What a metric or a test wants to know; tokens as of the last deposit or withdrawal."""
        return RetryStatistics(self._tokens, self._withdrawn, self._refused)

    def _refill(self, now: float) -> None:
        if self._tokens < self._floor:
            earned = (now - self._refilled_at) * self._floor / FLOOR_SECONDS
            self._tokens = min(self._floor, self._tokens + earned)
        self._refilled_at = now


def full_jitter(attempt: int, *, base: float, cap: float, random: float) -> float:
    """Seconds to wait after the given attempt failed (1 is the first), for a `random` in [0, 1).

    Anything from nothing to base * 2**(attempt - 1), at most `cap`: spread over the whole range, calls that failed
    together do not come back together. (M. Brooker, Exponential Backoff And Jitter, AWS, 2015.)
    """
    doublings = min(attempt - 1, 64)  # beyond any cap; without a bound the power would overflow
    return random * min(cap, base * 2.0**doublings)
