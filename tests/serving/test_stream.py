"""One response stream whose reader is slow, in virtual time."""

import asyncio
import selectors
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from broker.core.control.stream_limits import ReaderPace
from broker.errors import SlowReaderError
from broker.metrics.requests import RequestMetrics
from broker.serving.stream import ResponseStream

MESSAGE = b"x" * 1_000
RATE = 10_000.0  # bytes per second: a message may take 0.1 s


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next moment something is due, instead of waiting for it."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop`."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.jump(timeout or 0.0)
        return super().select(0)


class Reader:
    """A gRPC context: how long its reader takes for each message. State: what it has taken, and what comes before."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._seconds = list(seconds)
        self.taken = 0
        self.headers = 0

    async def send_initial_metadata(self, _: Sequence[object]) -> None:
        assert not self.taken
        self.headers += 1

    async def write(self, _: bytes) -> None:
        await asyncio.sleep(self._seconds[self.taken])
        self.taken += 1


def taken(seconds: Sequence[float], *, max_lag: float = 1.0) -> int:
    """How many messages a reader gets that takes so long for each."""

    async def main() -> int:
        reader: Any = Reader(seconds)
        pace = ReaderPace(min_rate=RATE, max_lag=max_lag)
        stream = ResponseStream(reader, pace, RequestMetrics(CollectorRegistry()), began=0.0)
        try:
            for _ in seconds:
                await stream.write(MESSAGE)
        except SlowReaderError:
            assert reader.taken < len(seconds)
        assert reader.headers == 1
        return int(reader.taken)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0.05] * 50, 50),
        ([0.1] * 50, 50),
        ([0.0, 1e9], 1),
        ([1.05, 0.0, 0.0], 3),
        ([0.32] * 50, 4),  # 0.22 s behind after each: none takes a second, but five of them do
        ([0.3, 0.0, 0.0] * 50, 150),
    ],
    ids=["faster", "just as fast", "takes nothing", "late once", "each just in time", "catches up"],
)
def test_a_reader_is_cut_off_if_it_is_slow_over_the_whole_stream(seconds: Sequence[float], expected: int) -> None:
    assert taken(seconds) == expected
