"""How long a response stream may take, and how slowly it may be read.

Until a stream has ended, it holds what `admission` counts. So nobody may keep it open at will:

* `TimeLimits`: a stream ends at its deadline, even while it is being written. The answers of institutions are awaited a
  little less long, so that those that are missing can still be reported.
* `ReaderPace`: while the broker waits for the reader, the reader has to take a minimum of bytes per second on average.
  A limit on the wait for each message would not do: a reader that takes each message just in time would never end.

While the broker has nothing to send, it does not wait for the reader, and expects no pace of it.
"""

from typing import NamedTuple

# What is kept back of the time, so that the stream ends properly before its deadline: a share, because clocks and
# networks are slower for those who allow more time, within bounds.
_MARGIN_SHARE = 0.05
_MIN_MARGIN = 0.02  # s; two orders of magnitude above what writing a last message takes
_MAX_MARGIN = 0.5  # s


class TimeLimits(NamedTuple):
    """Limits of one stream, in seconds from its beginning."""

    answers: float
    """For the answers of institutions; not positive if there is no time to ask."""
    stream: float
    """For the whole stream."""


def time_limits(callers: float | None, *, default: float, longest: float) -> TimeLimits:
    """The limits of a stream whose caller has so many seconds left, or has set no deadline (None)."""
    stream = min(default if callers is None else callers, longest)
    margin = min(max(stream * _MARGIN_SHARE, _MIN_MARGIN), _MAX_MARGIN)
    return TimeLimits(answers=stream - margin, stream=stream)


class ReaderPace:
    """How far a reader is behind the slowest pace allowed. State: its lag, and what it has been offered.

    The lag grows by each second the broker waits, and shrinks by each second's worth of bytes taken; it is never
    negative. So a reader that takes `min_rate` on average is never cut off, one that takes less is so once it is
    `max_lag` behind, and one that takes nothing at the latest after `max_lag` and the time its message may take.
    """

    def __init__(self, *, min_rate: float, max_lag: float) -> None:
        """`min_rate` in bytes per second, `max_lag` in seconds."""
        self.min_rate = min_rate
        self._max_lag = max_lag
        self._lag = 0.0
        self._offered_at = 0.0
        self._size = 0

    def offer(self, size: int, now: float) -> float:
        """A message of so many bytes is offered. Returns the moment by which it has to be taken."""
        self._offered_at = now
        self._size = size
        return now + self._max_lag - self._lag + size / self.min_rate

    def taken(self, now: float) -> None:
        """The message offered last has been taken."""
        self._lag = max(0.0, self._lag + now - self._offered_at - self._size / self.min_rate)
