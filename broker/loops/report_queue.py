"""A report stream between the loops: put into from trio or asyncio, taken from by one asyncio task.

Both loops run in one thread (`bridge`), so a put needs no lock; it only has to wake the task that waits. Whoever puts
from asyncio and can wait lets the reader catch up first (`wait_room`), so that a slow reader holds back its source too.
"""

import asyncio
from contextlib import suppress

from broker.core.planning.report_stream import Producer, ReportStream

_ROOM = 4 * 1024 * 1024  # bytes: four messages; enough that the reader never waits for a source that is not slow itself


class ReportQueue:
    """A `ReportStream` that can be waited for. State: the stream, and the futures of those who wait."""

    def __init__(self, *, room: int = _ROOM) -> None:
        """`room`: bytes that may lie here before `wait_room` waits."""
        self._stream = ReportStream(self._wake)
        self._room = room
        self._enough = 0
        self._reader: asyncio.Future[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    def open_producer(self) -> Producer:
        """See `ReportStream`."""
        return self._stream.open_producer()

    @property
    def has_ended(self) -> bool:
        """See `ReportStream`."""
        return self._stream.has_ended

    async def take(self, enough: int = 0, patience: float = 0.0) -> list[bytes]:
        """All items put by now, at least one; none once the stream has ended. Awaited by one task at a time.

        Of less than `enough` bytes, more is waited for, for `patience` seconds. Raises the error of a failed producer.
        """
        await self._wait(enough=0)
        if patience and not self._stream.is_ready(enough):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wait(enough)
        items = self._stream.take()
        self._has_room.set()
        return items

    async def wait_room(self) -> None:
        """Waits until the reader has taken what is here, if that is much."""
        await self._has_room.wait()

    def take_nowait(self) -> list[bytes]:
        """What is here, though the stream may have failed: for the account of what was never sent."""
        with suppress(BaseException):
            return self._stream.take()
        return []

    async def _wait(self, enough: int) -> None:
        while not self._stream.is_ready(enough):
            self._enough = enough
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _wake(self) -> None:
        if self._stream.size > self._room:
            self._has_room.clear()
        if self._reader is not None and not self._reader.done() and self._stream.is_ready(self._enough):
            self._reader.set_result(None)
