"""Where in the log each subject's record lies: a table of hints in memory that all workers share.

It is a file of fixed-size slots, mapped by every worker. A subject's *tag*, 64 bits mixed from its key, names two
*homes*, buckets of 16 slots, and the subject is in a slot of one of them: of the first, unless that was nearly full and
the second emptier when it came. So no home overflows before four slots in five are taken, nine lookups in ten end at
the first home, and none goes further than the second, however large the table.

Rules

1. A slot is a hint. Workers read while another one writes, without a lock, so what they read may be old, torn, or of
   another subject: the record found through it opens only under its own subject's key, and a wrong hint is a miss.
2. Only the holder of the store's write lock writes, and only of records that are committed.
3. The table says which blocks of the log it covers. What came after is added by whoever writes next, so a writer may
   die between committing records and pointing to them.
4. The table is made from the log and can be made again: it is trusted only if it was written since the machine was
   started, for this very store.

A table too small is replaced by one of twice as many buckets, under the same name; whoever has mapped the old one
finds it marked as retired. Homes are leading bits of the tag's hashes, so bucket b becomes buckets 2b and 2b + 1, and
every subject keeps its slot number.
"""

import mmap
import os
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Tags = NDArray[np.uint64]
Places = NDArray[np.uint64]
"""Where records are; what that means is the log's affair (store.block). 0 is nowhere."""
Slots = NDArray[np.intp]

_FORMAT = b"broker index 1\n"
_SLOTS = 16  # in a bucket: two cache lines of tags
_LEAST = 256  # buckets to begin with; 68 KiB
_NEARLY_FULL = 5  # free slots; at most an eighth of subjects are then in their second home, at any load (simulated)
_FULLEST = 0.78  # share of slots taken; the first two homes overflow at 0.82 (2^22 slots, simulated)
_AT_A_TIME = 1 << 16  # buckets split in one step: 32 MiB
_HEAD = 4096  # bytes before the slots: one page
_COVERED, _SUBJECTS, _RETIRED = range(3)  # numbers kept in the head
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


class Index:
    """The table of one store file.

    State: the mapped file as readers know it, and as the writer does. They are the same, except between the growth of
    the table by another worker and its being noticed. A reader never changes what the writer holds: it may read at the
    moment when this worker's writer replaces the table.
    """

    def __init__(self, path: Path, *, store: bytes) -> None:
        """Maps the table in file `path`, or begins an empty one; `store` identifies the log. Raises `OSError`."""
        self._path = path
        self._identity = blake2b(_FORMAT + store + _boot(), digest_size=32).digest()
        self._table = self._own = self._open_or_begin()

    @property
    def covered(self) -> int:
        """The last block of the log that has been taken in."""
        return int(self._own.head[_COVERED])

    def cover(self, block: int) -> None:
        """Says that every block up to this one has been taken in."""
        self._own.head[_COVERED] = block

    @property
    def subjects(self) -> int:
        """How many subjects have a place. Raises as `find` does."""
        return int(self._current().head[_SUBJECTS])

    @property
    def size(self) -> int:
        """Bytes on disk. Raises as `find` does."""
        return self._current().size

    def find(self, tags: Tags) -> Places:
        """Hints where these subjects' records lie; 0 for subjects unknown.

        Raises `OSError` and `ValueError` when another worker has replaced the table, and what it left is no table.
        """
        return _find(self._current(), tags)

    def ensure(self) -> bool:
        """Makes sure that the table about to be changed is the one of that name, or begins a new one.

        For the holder of the write lock, before anything else here. Returns whether it had to change tables. Raises
        `OSError` if a new one cannot be begun.
        """
        if self._own.is_at(self._path) and not self._own.head[_RETIRED]:
            return False
        self._table = self._own = self._open_or_begin()
        return True

    def locate(self, tags: Tags) -> Places:
        """As `find`, for the holder of the write lock."""
        return _find(self._own, tags)

    def point(self, tags: Tags, places: Places) -> None:
        """Points subjects, new ones or known, each once, to these places."""
        table = self._own
        rows, slots = table.find(tags)
        table.head[_SUBJECTS] += np.count_nonzero(table.places[slots] == 0)
        table.places[slots] = places[rows]
        self._add(np.delete(tags, rows), np.delete(places, rows))

    def clear(self, tags: Tags, places: Places) -> None:
        """Forgets subjects, each unless it has moved on from the given place."""
        table = self._own
        rows, slots = table.find(tags)
        slots = slots[table.places[slots] == places[rows]]
        table.places[slots] = 0
        table.head[_SUBJECTS] -= len(slots)

    def _add(self, tags: Tags, places: Places) -> None:
        while len(tags):
            # Few at a time, since each chooses by how full its homes were before any of the others came.
            at_once = min(len(tags), max(_LEAST, self._own.buckets // 8))
            if self._own.head[_SUBJECTS] + at_once > _FULLEST * len(self._own.places):
                self._grow()
                continue
            left = self._own.add(tags[:at_once], places[:at_once])
            self._own.head[_SUBJECTS] += at_once - len(left)
            if len(left):
                self._grow()
            rest = np.concatenate((left, np.arange(at_once, len(tags))))
            tags, places = tags[rest], places[rest]

    def _grow(self) -> None:
        old, new = self._own, _begin(self._path, self._identity, 2 * self._own.buckets)
        for start in range(0, old.buckets, _AT_A_TIME):
            old.split(new, start, min(start + _AT_A_TIME, old.buckets))
        new.head[:] = old.head
        new.publish(self._path)
        self._table = self._own = new
        old.head[_RETIRED] = 1

    def _open_or_begin(self) -> "_Table":
        try:
            table = _Table(self._path, self._identity)
        except (OSError, ValueError):  # none, or none that can be trusted
            table = _begin(self._path, self._identity, _LEAST)
            table.publish(self._path)
        return table

    def _current(self) -> "_Table":
        """The table, or its successor if another worker has replaced it.

        That may have been replaced as well: its hints are then a little old, and the next reading takes the next one.
        """
        if self._table.head[_RETIRED]:
            self._table = _Table(self._path, self._identity)
        return self._table


def _find(table: "_Table", tags: Tags) -> Places:
    places = np.zeros(len(tags), np.uint64)
    rows, slots = table.find(tags)
    places[rows] = table.places[slots]
    return places


class _Table:
    """One mapped file: its head, its slots, and where each tag may be."""

    def __init__(self, path: Path, identity: bytes) -> None:
        """Maps the file. Raises `OSError`, and `ValueError` if it is not what it should be."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            self._status = os.fstat(descriptor)
            self.size = self._status.st_size
            memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        self.buckets = (self.size - _HEAD) // (16 * _SLOTS)
        bits = self.buckets.bit_length() - 1
        if memory[: len(identity)] != identity or self.size != _size(1 << bits):
            msg = "not this store's index"
            raise ValueError(msg)
        self._shift = np.uint64(64 - bits)
        self.head: NDArray[np.int64] = np.frombuffer(memory, np.int64, 8, offset=len(identity))
        self.tags, self.places = np.frombuffer(memory, np.uint64, offset=_HEAD).reshape(2, -1)
        self._tags_by_bucket = self.tags.reshape(-1, _SLOTS)
        self._places_by_bucket = self.places.reshape(-1, _SLOTS)

    def is_at(self, path: Path) -> bool:
        """Whether this is the file of that name."""
        try:
            return os.path.samestat(path.stat(), self._status)
        except FileNotFoundError:
            return False

    def publish(self, path: Path) -> None:
        """Gives the table, whole now, its name."""
        _unfinished(path).replace(path)

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

    def add(self, tags: Tags, places: Places) -> Slots:
        """Puts new tags into their homes. Returns which of them found both full."""
        left = np.arange(len(tags))
        while len(left):
            homes, free = self._choose(tags[left])
            slot = free.argmax(axis=1)
            (fits,) = free[np.arange(len(left)), slot].nonzero()
            if not len(fits):
                break
            to, those = homes[fits] * _SLOTS + slot[fits], left[fits]
            self.places[to] = places[those]
            self.tags[to] = tags[those]
            settled = fits[self.places[to] == places[those]]  # of several that chose the same slot, the last
            left = np.delete(left, settled)
        return left

    def _choose(self, tags: Tags) -> tuple[Slots, NDArray[np.bool]]:
        """The home for each new tag, and which of its slots are free."""
        first, second = self._first(tags), self._second(tags)
        free = self._places_by_bucket.take(first, axis=0) == 0
        room = _count(free)
        (tight,) = (room <= _NEARLY_FULL).nonzero()
        other = self._places_by_bucket.take(second[tight], axis=0) == 0
        emptier = _count(other) > room[tight]
        first[tight[emptier]] = second[tight[emptier]]
        free[tight[emptier]] = other[emptier]
        return first, free

    def split(self, into: "_Table", start: int, stop: int) -> None:
        """Copies buckets from `start` to `stop` into a table of twice as many."""
        tags, places = self._tags_by_bucket[start:stop], self._places_by_bucket[start:stop]
        by_first = self._first(tags) == np.arange(start, stop)[:, None]
        goes_right = np.where(by_first, into._first(tags), into._second(tags)) & 1  # noqa: SLF001 - its own class
        for side in (0, 1):
            target = slice(2 * start + side, 2 * stop, 2)
            into._places_by_bucket[target] = np.where(goes_right == side, places, 0)  # noqa: SLF001
            into._tags_by_bucket[target] = np.where(goes_right == side, tags, 0)  # noqa: SLF001

    def _first(self, tags: Tags) -> Slots:
        return (tags >> self._shift).view(np.intp)

    def _second(self, tags: Tags) -> Slots:
        return (tags * _OTHER >> self._shift).view(np.intp)


def _count(free: NDArray[np.bool]) -> NDArray[np.uint8]:
    """How many are true, of each 16: two words of bytes that are 0 or 1."""
    halves = np.bitwise_count(free.view(np.uint64))
    return halves[:, 0] + halves[:, 1]


def _begin(path: Path, identity: bytes, buckets: int) -> _Table:
    """An empty table, not yet published. Its room is taken at once: a full disk must not be found out by a write."""
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _size(buckets))
        os.pwrite(descriptor, identity, 0)
    finally:
        os.close(descriptor)
    return _Table(unfinished, identity)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _size(buckets: int) -> int:
    return _HEAD + 16 * _SLOTS * buckets


def _boot() -> bytes:
    """What tells this run of the machine from others; where that cannot be known, every opening is another one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return os.urandom(16)
