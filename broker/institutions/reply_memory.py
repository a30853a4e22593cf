"""How much memory the replies take that a worker holds at a time.

An ordinary reply is small, and is held without ado. A large one first waits for its room: only one of an institution is
held at a time, and only so many bytes of all institutions' together. Room is taken at once for as much as the reply may
become, so that no two replies can wait for each other. While a reply waits nothing of it is received, and its call may
time out.

A room holds its reply, and lets go of it when its context ends: otherwise whatever keeps the error of a call, in whose
frames the reply is, would keep megabytes. What large replies took is then given back to the system, which the C library
by itself does not do.
"""

import asyncio
import ctypes
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker.errors import BadReplyError

LARGE = 256 * 1024
"""Bytes from which on a reply is large: twice an ordinary one to 500 inquiries, of which 24 % are found."""

_AT_A_TIME = 64 * 1024 * 1024  # bytes: four of the largest replies, or fifteen of the largest to 200 inquiries


_TRIM_AFTER = 10.0  # s after a large reply; trimming takes milliseconds, and the next reply may need the memory again


def _trim() -> None:
    """Gives free memory back to the system, if the C library can do that: glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class ReplyMemory:
    """State: the bytes that are free for large replies, who waits for some, in order of arrival, and when to trim."""

    def __init__(
        self, size: int = _AT_A_TIME, *, trim: Callable[[], None] = _trim, trim_after: float = _TRIM_AFTER
    ) -> None:
        """`trim` gives free memory back to the system; it is called `trim_after` seconds after a large reply."""
        self._trim = trim
        self._trim_after = trim_after
        self._timer: asyncio.TimerHandle | None = None
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Waits until so many bytes are free, and takes them."""
        if self._free >= size and not self._waiting:
            self._free -= size
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append((size, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was given what it no longer needs
                self.give_back(size)
            else:
                self._serve()  # it may have been the first, for which others waited
            raise

    def give_back(self, size: int) -> None:
        """Ends what `take` began."""
        self._free += size
        self._serve()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._trim_after, self._end_of_timer)

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_of_timer(self) -> None:
        self._timer = None
        self._trim()

    def _serve(self) -> None:
        while self._waiting:
            size, waiter = self._waiting[0]
            if not waiter.done():
                if size > self._free:
                    return
                self._free -= size
                waiter.set_result(None)
            self._waiting.popleft()


class Room:
    """One reply, and the room for it. State: also whether it has taken that of a large one."""

    def __init__(self, max_bytes: int, memory: ReplyMemory, one_at_a_time: asyncio.Lock) -> None:
        self.max_bytes = max_bytes
        """The limit of the reply, as received and after decompression."""
        self.pieces: list[bytes] = []
        """What has come of it."""
        self.size = 0
        """In bytes."""
        self._memory = memory
        self._one_at_a_time = one_at_a_time
        self._has_lock = self._is_large = False

    async def add(self, piece: bytes) -> None:
        """Adds the next piece; waits until there is room for it. Raises `BadReplyError` if the reply is too long."""
        self.size += len(piece)
        if self.size > self.max_bytes:
            msg = f"the reply exceeds {self.max_bytes} bytes"
            raise BadReplyError(msg)
        if self.size > LARGE and not self._is_large:
            self._has_lock = await self._one_at_a_time.acquire()
            await self._memory.take(self.max_bytes)
            self._is_large = True
        self.pieces.append(piece)

    def release(self) -> None:
        """Lets go of the reply."""
        self.pieces.clear()
        if self._is_large:
            self._memory.give_back(self.max_bytes)
        if self._has_lock:
            self._one_at_a_time.release()


class ReplyRooms:
    """The rooms of one institution's replies."""

    def __init__(self, memory: ReplyMemory) -> None:
        self._memory = memory
        self._one_at_a_time = asyncio.Lock()

    @contextmanager
    def room(self, max_bytes: int) -> Iterator[Room]:
        """Room for one reply of at most so many bytes, until the context ends."""
        room = Room(max_bytes, self._memory, self._one_at_a_time)
        try:
            yield room
        finally:
            room.release()
