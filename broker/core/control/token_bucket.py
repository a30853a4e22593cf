"""How fast one institution is asked: a token bucket kept as a single moment.

A bucket of `burst` tokens fills at `rate` tokens per second. Instead of a count, which would have to be topped up, it
keeps the moment at which it is, was or will be exactly empty; the rest is arithmetic:

    tokens(now) = min(burst, (now - empty_at) * rate)

Taking n tokens moves `empty_at` by n / rate seconds, into the future if need be: that is debt, and the debtor waits it
off. So whoever reserves first acts first, and within any t seconds no more than rate * t + max(burst, largest n)
inquiries are sent.
"""


class TokenBucket:
    """Inquiries per second, at most `burst` at once; full at `now`, which like all moments here is in seconds.

    Raises:
        ValueError: unless rate and burst are positive.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if not (rate > 0 and burst > 0):
            raise ValueError(f"bucket: rate ({rate:g}) and burst ({burst:g}) must be positive")
        self._rate = rate
        self._fill_seconds = burst / rate
        self._empty_at = now - self._fill_seconds
        self._penalised_until = now

    @property
    def penalised_until(self) -> float:
        """Nothing may be sent before this moment. A reservation due earlier is void: reserve anew."""
        return self._penalised_until

    def tokens(self, now: float) -> float:
        """Inquiries that may be sent at once; negative when that many are still owed."""
        return min(now - self._empty_at, self._fill_seconds) * self._rate

    def reserve(self, n: int, now: float) -> float:
        """Take n tokens; returns the seconds to wait before acting on them.

        More than `burst` at once is possible and takes its time.
        """
        self._empty_at = max(self._empty_at, now - self._fill_seconds) + n / self._rate
        return max(0.0, self._empty_at - now)

    def cancel(self, n: int, due: float) -> None:
        """Give back a reservation that will not be acted on; `due` is when it would have been.

        Tokens reserved since then are not given back: their holders have been told when to act, and a newcomer who took
        the gap as well would go out together with them, above the burst. (Go's x/time/rate has the same rule.)
        """
        reserved_since = max(0.0, self._empty_at - due)
        self._empty_at -= max(0.0, n / self._rate - reserved_since)

    def penalise(self, until: float) -> None:
        """The institution named a moment before which it will not be asked (Retry-After): be empty until then."""
        self._penalised_until = max(self._penalised_until, until)
        self._empty_at = max(self._empty_at, until)
