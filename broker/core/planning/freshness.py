"""Which held answers a request accepts, and which inquiries in flight it may join.

    oldest <= observed <= now < expires

An answer observed after now is not fresh: the clock was set back since, and nobody can tell how old the answer is. So
no answer is served with an `observed_at` in the future, or for longer than its TTL from its `observed_at`. With a
maximum age of zero nothing held satisfies the condition: a request that asks for the present does not even read the
cache.

The answer of a call in flight may have been observed as soon as the call was sent. So a request joins a call only if it
was sent within the maximum age before now (none, if that is zero), and an inquiry that is still queued in any case. How
long ago a call was sent is measured on a clock that is never set.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Freshness(NamedTuple):
    """What one request accepts at one moment. Times in whole seconds since the epoch."""

    now: int
    oldest: int
    """The earliest observation that is accepted."""

    @classmethod
    def at(cls, now: float, max_age: float | None) -> "Freshness":
        """What is accepted at `now` by a request with this maximum age in seconds; None: whatever has not expired.

        Observations are known by the second. The oldest accepted is the first that is younger than `max_age` as a
        whole; for an age of zero it has not begun yet.
        """
        return cls(int(now), 0 if max_age is None else math.floor(now - max_age) + 1)

    @property
    def accepts_any(self) -> bool:
        """Whether any answer can be accepted: if not, the cache need not be read."""
        return self.oldest <= self.now

    def accepts(self, observed: int, expires: int) -> bool:
        """Whether one answer is accepted."""
        return self.oldest <= observed <= self.now < expires

    def accepts_all(self, heads: NDArray[Any]) -> NDArray[np.bool]:
        """Of each of these records (`record.heads_of`), whether all its answers are accepted."""
        usable: NDArray[np.bool] = (heads["expires"] > self.now) & (heads["observed"] >= self.oldest)
        observed = heads["each"]["observed"]
        if observed.size and observed.max() > self.now:  # hardly ever: the clock was set back
            usable &= (observed <= self.now).all(axis=1)
        return usable
