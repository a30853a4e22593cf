"""One table of the index: a mapped file of fixed-size slots, and a head that says how far it has come.

    identity   32 bytes   of the store, the format, and this run of the machine
    covered    u64        the last block of the log that has been taken in
    subjects   u64        how many slots are taken
    checksum   8 bytes    of the three above
    retired    8 bytes    _RETIRED once this table has been replaced by another one
    (empty)               up to one page
    tags       u64 each, 16 to a bucket
    locations  u64 each, aligned with them; 0 in a free slot

The writer replaces covered, subjects and checksum in one step, and other workers read them only for a metric. A
reader looks at `retired` alone, one word, which no single wrong bit turns into `_RETIRED`.

A subject's *tag* names two buckets, its *homes*: the leading bits of the tag, and those of another hash of it. In a
table of 8 buckets those are 3 bits each. This tag begins with 1011, and its other hash with 0110:

    >>> tag = np.array([0xB000A00000000000], np.uint64)
    >>> first_home(tag, 64 - 3).tolist(), second_home(tag, 64 - 3).tolist()  # 101 and 011
    ([5], [3])

A table of twice as many buckets takes one bit more of each:

    >>> first_home(tag, 64 - 4).tolist(), second_home(tag, 64 - 4).tolist()  # 1011 and 0110
    ([11], [6])

So when the table grows, what was in bucket b goes to bucket 2b or 2b + 1 of the new table, as the next bit says, and
keeps its slot of the 16: a subject that was in its first home, 5, goes to 11, and one in its second home, 3, goes to 6.
No bucket of the new table can overflow, and each half of the old table is copied in one step (`Table.split`).
"""

import mmap
import os
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tags = NDArray[np.uint64]
Locations = NDArray[np.uint64]
"""Where records are; what that means is the log's affair (store.block). 0 is nowhere."""
Slots = NDArray[np.intp]

_SLOTS = 16  # in a bucket: two cache lines of tags
_NEARLY_FULL = 5  # free slots; at most an eighth of subjects are then in their second home, at any load (simulated)
_PAGE = 4096  # bytes before the slots
_IDENTITY = 32  # bytes
_NUMBERS = Struct("<QQ")
_CHECKSUM = 8  # bytes
_HEAD = _IDENTITY + _NUMBERS.size + _CHECKSUM
_RETIRED = int.from_bytes(b"retired\n", "little")
_MIX, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd; golden ratio, and a prime of xxHash
_HALF = np.uint64(32)


def tags_of(keys: bytes) -> Tags:
    """The tags of subjects whose keys of 16 bytes are given joined. Never 0.

    Keys are keyed hashes, of which any 64 bits would do; mixing them makes the table as good for any other keys.
    """
    halves = np.frombuffer(keys, "<u8").reshape(-1, 2)
    mixed = (halves[:, 0] * _OTHER + halves[:, 1]) * _MIX
    tags: Tags = np.maximum(mixed ^ mixed >> _HALF, np.uint64(1))
    return tags


class Head(NamedTuple):
    """How far a table has come."""

    covered: int = 0
    subjects: int = 0


class Table:
    """One mapped file: its head, its slots, and where each tag may be."""

    def __init__(self, path: Path, identity: bytes) -> None:
        """Maps the file. Raises `OSError`, and `ValueError` if it is not what it should be."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._status = os.fstat(descriptor)
            self._memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        self.size = self._status.st_size
        self.buckets = (self.size - _PAGE) // (16 * _SLOTS)
        bits = self.buckets.bit_length() - 1
        if self._memory[:_IDENTITY] != identity or self.size != size_of(1 << bits):
            msg = "not this store's index"
            raise ValueError(msg)
        self._identity = identity
        self._shift = np.uint64(64 - bits)
        self._retired = np.frombuffer(self._memory, "<u8", 1, offset=_HEAD)
        self.tags, self.locations = np.frombuffer(self._memory, np.uint64, offset=_PAGE).reshape(2, -1)
        self._tags_by_bucket = self.tags.reshape(-1, _SLOTS)
        self._locations_by_bucket = self.locations.reshape(-1, _SLOTS)

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self.locations)

    def read_head(self) -> Head | None:
        """The head, for the holder of the write lock; None if it is damaged, or says what cannot be."""
        head = Head(*_NUMBERS.unpack_from(self._memory, _IDENTITY))
        is_sound = self._memory[:_HEAD] == self._pack(head) and head.subjects <= self.slots
        return head if is_sound else None

    def write_head(self, head: Head) -> None:
        """Replaces the head in one step, for the holder of the write lock."""
        self._memory[:_HEAD] = self._pack(head)

    def _pack(self, head: Head) -> bytes:
        raw = self._identity + _NUMBERS.pack(*head)
        return raw + blake2b(raw, digest_size=_CHECKSUM).digest()

    def subjects(self) -> int:
        """How many subjects have a location, as far as a reader can tell."""
        head = Head(*_NUMBERS.unpack_from(self._memory, _IDENTITY))
        return min(head.subjects, self.slots)

    def count(self) -> int:
        """How many slots are taken: exact, but it reads all of them."""
        return int(np.count_nonzero(self.locations))

    def retire(self) -> None:
        """Tells the workers that have mapped this table that there is another one."""
        self._retired[0] = _RETIRED

    def is_retired(self) -> bool:
        """Whether there is another one."""
        return bool(self._retired[0] == _RETIRED)

    def is_at(self, path: Path) -> bool:
        """Whether this is the file of that name."""
        try:
            return os.path.samestat(path.stat(), self._status)
        except FileNotFoundError:
            return False

    def look_up(self, tags: Tags) -> Locations:
        """The hints where these subjects' records are; 0 for subjects unknown."""
        locations = np.zeros(len(tags), np.uint64)
        rows, slots = self.find(tags)
        locations[rows] = self.locations[slots]
        return locations

    def find(self, tags: Tags) -> tuple[Slots, Slots]:
        """Which of the tags are in the table, and in which slots."""
        rows, slots = self._find_in(self._first(tags), tags)
        if len(rows) == len(tags):
            return rows, slots
        unknown = np.ones(len(tags), bool)
        unknown[rows] = False
        rest = unknown.nonzero()[0]
        others, their_slots = self._find_in(self._second(tags[rest]), tags[rest])
        return np.concatenate((rows, rest[others])), np.concatenate((slots, their_slots))

    def _find_in(self, homes: Slots, tags: Tags) -> tuple[Slots, Slots]:
        hits = (self._tags_by_bucket.take(homes, axis=0) == tags[:, None]).ravel().nonzero()[0]
        rows = hits // _SLOTS
        return rows, homes[rows] * _SLOTS + hits % _SLOTS

    def add(self, tags: Tags, locations: Locations) -> Slots:
        """Puts new tags into their homes. Returns which of them found both full."""
        left = np.arange(len(tags))
        while len(left):
            homes, free = self._choose(tags[left])
            slot = free.argmax(axis=1)
            (fits,) = free[np.arange(len(left)), slot].nonzero()
            if not len(fits):
                break
            to, those = homes[fits] * _SLOTS + slot[fits], left[fits]
            self.locations[to] = locations[those]
            self.tags[to] = tags[those]
            settled = fits[self.locations[to] == locations[those]]  # of several that chose the same slot, the last
            left = np.delete(left, settled)
        return left

    def _choose(self, tags: Tags) -> tuple[Slots, NDArray[np.bool]]:
        """The home for each new tag, and which of its slots are free."""
        first, second = self._first(tags), self._second(tags)
        free = self._locations_by_bucket.take(first, axis=0) == 0
        room = _count(free)
        (tight,) = (room <= _NEARLY_FULL).nonzero()
        other = self._locations_by_bucket.take(second[tight], axis=0) == 0
        emptier = _count(other) > room[tight]
        first[tight[emptier]] = second[tight[emptier]]
        free[tight[emptier]] = other[emptier]
        return first, free

    def split(self, into: "Table", start: int, stop: int) -> None:
        """Copies buckets from `start` to `stop` into a table of twice as many."""
        tags, locations = self._tags_by_bucket[start:stop], self._locations_by_bucket[start:stop]
        by_first = self._first(tags) == np.arange(start, stop)[:, None]
        goes_right = np.where(by_first, into._first(tags), into._second(tags)) & 1  # noqa: SLF001 - its own class
        for side in (0, 1):
            target = slice(2 * start + side, 2 * stop, 2)
            into._locations_by_bucket[target] = np.where(goes_right == side, locations, 0)  # noqa: SLF001
            into._tags_by_bucket[target] = np.where(goes_right == side, tags, 0)  # noqa: SLF001

    def _first(self, tags: Tags) -> Slots:
        return first_home(tags, self._shift)

    def _second(self, tags: Tags) -> Slots:
        return second_home(tags, self._shift)


def first_home(tags: Tags, shift: np.uint64 | int) -> Slots:
    """The bucket that the leading bits of each tag name; `shift` is 64 less the number of those bits."""
    return (tags >> np.uint64(shift)).view(np.intp)


def second_home(tags: Tags, shift: np.uint64 | int) -> Slots:
    """The bucket that the leading bits of another hash of each tag name."""
    return (tags * _OTHER >> np.uint64(shift)).view(np.intp)


def _count(free: NDArray[np.bool]) -> NDArray[np.uint8]:
    """How many are true, of each 16: two words of bytes that are 0 or 1."""
    halves = np.bitwise_count(free.view(np.uint64))
    return halves[:, 0] + halves[:, 1]


def begin(path: Path, identity: bytes, buckets: int) -> Table:
    """An empty table that is not published. Its room is taken at once: a full disk must not be found out by a write.

    Raises `OSError`.
    """
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size_of(buckets))
        os.pwrite(descriptor, identity, 0)
    finally:
        os.close(descriptor)
    table = Table(unfinished, identity)
    table.write_head(Head())
    return table


def publish(path: Path) -> None:
    """Gives the table that was begun, whole now, its name."""
    _unfinished(path).replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def size_of(buckets: int) -> int:
    """Bytes of a table of so many buckets."""
    return _PAGE + 16 * _SLOTS * buckets
