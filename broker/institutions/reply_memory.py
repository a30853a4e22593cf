"""How much memory the replies take that a worker holds at a time.

An ordinary reply is small, and is held without ado. A large one first waits for its room: only one of an institution is
held at a time, and only so many bytes of all institutions' together. Room is taken at once for as much as the reply may
become, so that no two replies can wait for each other. While a reply waits nothing of it is received, and its call may
time out.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from broker.errors import BadReplyError

LARGE = 256 * 1024
"""Bytes from which on a reply is large: twice an ordinary one to 500 inquiries, of which 24 % are found."""

_AT_A_TIME = 64 * 1024 * 1024  # bytes: four of the largest replies, or fifteen of the largest to 200 inquiries


class ReplyMemory:
    """State: the bytes that are free for large replies, and who waits for some, in order of arrival."""

    def __init__(self, size: int = _AT_A_TIME) -> None:
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
    """The room of one reply. State: whether it has taken that of a large one."""

    def __init__(self, max_bytes: int, memory: ReplyMemory, one_at_a_time: asyncio.Lock) -> None:
        self.max_bytes = max_bytes
        """The limit of the reply, as received and after decompression."""
        self._memory = memory
        self._one_at_a_time = one_at_a_time
        self._has_lock = self._is_large = False

    async def hold(self, size: int) -> None:
        """Waits until so many bytes of the reply may be held, in all. Raises `BadReplyError` if it is too long."""
        if size > self.max_bytes:
            msg = f"the reply exceeds {self.max_bytes} bytes"
            raise BadReplyError(msg)
        if size > LARGE and not self._is_large:
            self._has_lock = await self._one_at_a_time.acquire()
            await self._memory.take(self.max_bytes)
            self._is_large = True

    def release(self) -> None:
        """Ends what `hold` began."""
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
