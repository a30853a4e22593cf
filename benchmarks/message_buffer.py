"""Keeps received messages until they are checked, in memory that was allocated before the measurement.

On a virtual machine the first access to a page can cost far more than a page fault. The client would pay for it during
the measurement, and on the same cores that would look like a slower broker.
"""

import mmap
from collections.abc import Iterable, Iterator

BYTES_PER_LOOKUP = 1024
"""Three times what four institutions' answers about a person of the mocks' population take on average."""

_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE


class MessageBuffer:
    """Messages, in the order in which they were added.

    State: the memory allocated, the sizes of the messages in it, and the messages it had no room for.
    """

    def __init__(self, messages: Iterable[bytes] = (), *, capacity: int = 0) -> None:
        """`capacity`: bytes to allocate at once. Messages beyond that are kept too, in memory allocated as needed."""
        self._memory = mmap.mmap(-1, max(capacity, mmap.PAGESIZE), flags=_FLAGS)
        self._sizes: list[int] = []
        self._overflow: list[bytes] = []
        self.add(messages)

    def __len__(self) -> int:
        return len(self._sizes) + len(self._overflow)

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        for size in self._sizes:
            yield self._memory[at : at + size]
            at += size
        yield from self._overflow

    def add(self, messages: Iterable[bytes]) -> None:
        """Appends messages."""
        for message in messages:
            if not self._overflow and self._memory.tell() + len(message) <= len(self._memory):
                self._memory.write(message)
                self._sizes.append(len(message))
            else:
                self._overflow.append(message)
