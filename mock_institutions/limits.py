"""The rate limit of an institution. Pure: time is an argument."""


class TokenBucket:
    """Allows `rate` inquiries per second in the long run, and `burst` at once. Time is in monotonic seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens = burst
        self._filled_at: float | None = None

    def take(self, inquiries: int, now: float) -> float:
        """Takes this many tokens and returns 0, or takes none and returns the seconds until there are enough."""
        elapsed = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        self._filled_at = now
        lacking = inquiries - self._tokens
        if lacking > 0:
            return lacking / self._rate
        self._tokens -= inquiries
        return 0.0
