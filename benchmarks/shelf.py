"""Messages kept to be checked once the clock has stopped, in memory that was taken before it started.

The first touch of a page can cost a virtual machine far more than a fault, and would be paid by the client while the
clock runs: on the same cores, it would be counted as the broker's slowness.
"""

import mmap
from collections.abc import Iterable, Iterator

ROOM_PER_LOOKUP = 1024
"""Bytes: three times what four institutions' answers about a person of the mocks' population take on average."""

_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE


class Shelf:
    """Messages, in the order in which they were put there.

    State: the room there is, the sizes of the messages in it, and those it had no room for.
    """

    def __init__(self, messages: Iterable[bytes] = (), *, room: int = 0) -> None:
        """`room`: bytes to take at once; more than that is kept, but not for free."""
        self._room = mmap.mmap(-1, max(room, mmap.PAGESIZE), flags=_FLAGS)
        self._sizes: list[int] = []
        self._others: list[bytes] = []
        self.put(messages)

    def __len__(self) -> int:
        return len(self._sizes) + len(self._others)

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        for size in self._sizes:
            yield self._room[at : at + size]
            at += size
        yield from self._others

    def put(self, messages: Iterable[bytes]) -> None:
        """Adds messages."""
        for message in messages:
            if not self._others and self._room.tell() + len(message) <= len(self._room):
                self._room.write(message)
                self._sizes.append(len(message))
            else:
                self._others.append(message)
