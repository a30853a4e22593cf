"""How fast one institution is asked: a token bucket, kept as a single moment.

A bucket of `burst` tokens fills at `rate` tokens per second. Instead of a count, which would have to be topped up, it
keeps the moment at which it was or will be empty; the rest is arithmetic:

    tokens(now) = min(burst, (now - empty_at) * rate)

Tokens are taken when they are spent, never in advance. So no batch that waits for its tokens keeps them from a smaller
one, and within any t seconds at most rate * t + burst tokens are taken.
"""

from math import inf


class TokenBucket:
    """Inquiries per second, at most `burst` at once. Moments are in seconds.

    `empty_at`: when it was empty; -inf for a bucket that is full.

    Raises:
        ValueError: unless rate and burst are positive.
    """

    def __init__(self, rate: float, burst: float, empty_at: float) -> None:
        if not (rate > 0 and burst > 0):
            raise ValueError(f"bucket: rate ({rate:g}) and burst ({burst:g}) must be positive")
        self._rate = rate
        self._burst = burst
        self._fill_seconds = burst / rate
        self._empty_at = empty_at
        self._paused_until = -inf

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self._rate

    @property
    def paused_until(self) -> float:
        """Nothing may be sent before this moment."""
        return self._paused_until

    def tokens(self, now: float) -> float:
        """Inquiries that may be sent at once; none while paused."""
        return min(max(0.0, now - self._empty_at), self._fill_seconds) * self._rate

    def due(self, n: int) -> float:
        """The moment at which there will be n tokens, or have been, if nobody takes any before.

        Raises:
            ValueError: n is more than the burst: there will never be so many.
        """
        if n > self._burst:
            raise ValueError(f"bucket: {n} tokens at once are more than its burst ({self._burst:g})")
        return self._empty_at + n / self._rate

    def take(self, n: int, now: float) -> None:
        """Spends n tokens, which are `due`."""
        self._empty_at = max(self._empty_at, now - self._fill_seconds) + n / self._rate

    def pause(self, until: float) -> None:
        """The institution named a moment before which it will not be asked (Retry-After): be empty until then."""
        self._paused_until = max(self._paused_until, until)
        self._empty_at = max(self._empty_at, until)
