"""Where in the log each subject's record lies: a table of hints in memory that all workers share.

It is a file of fixed-size slots, mapped by every worker (store.index_table). A subject is in a slot of one of two
buckets: in the first, unless that was nearly full and the second emptier when the subject was added. So no bucket
overflows before four slots in five are taken, nine lookups in ten end at the first bucket, and none needs more than
two, however large the table.

Rules

1. A slot is a hint. Workers read while another one writes, without a lock, so what they read may be old, torn, or of
   another subject: the record found through it opens only under its own subject's key, and a wrong hint is a miss.
2. Only the holder of the store's write lock writes, and only of records that are committed.
3. The table says which blocks of the log it covers. Later blocks are added by the next writer, so a writer may die
   between committing records and pointing to them.
4. The table is made from the log and can be made again. It is trusted only if it was written since the machine was
   started, for this very store, and if its head is sound: only the holder of the write lock judges that, before each
   round of writing (`ensure`), and begins a new table when in doubt.
5. A table grows when many slots are taken, counted in the table itself; what its head says does not suffice.

A table too small is replaced by one of twice as many buckets, under the same name; the old one is
marked as retired, for the workers that have mapped it.
"""

import os
from hashlib import blake2b
from pathlib import Path

import numpy as np

from broker.store.index_table import Head, Locations, Table, Tags, begin, publish

_FORMAT = b"broker index 2\n"
_LEAST = 256  # buckets to begin with; 68 KiB
_FULLEST = 0.78  # share of slots taken; the first two buckets overflow at 0.82 (2^22 slots, simulated)
_SPARSE = 0.25  # share of slots; far below what any table has that must grow
_AT_A_TIME = 1 << 16  # buckets split in one step: 32 MiB


class Index:
    """The table of one store file.

    State: the mapped file as readers know it, and as the writer does, with its head. They are the same, except between
    the replacement of the table by another worker and its being noticed. A reader never changes what the writer holds:
    it may read at the moment when this worker's writer replaces the table.
    """

    def __init__(self, path: Path, *, store: bytes) -> None:
        """Maps the table in file `path`, or begins an empty one; `store` identifies the log. Raises `OSError`.

        For the holder of the write lock.
        """
        self._path = path
        self._identity = blake2b(_FORMAT + store + _boot(), digest_size=32).digest()
        try:
            self._table = self._own = Table(path, self._identity)
        except (OSError, ValueError):  # none, or none that can be trusted
            self._table = self._own = begin(path, self._identity, _LEAST)
            publish(path)
        self._head = self._own.read_head() or Head()

    # For readers.

    @property
    def subjects(self) -> int:
        """How many subjects have a location. Raises as `find` does."""
        return self._current().subjects()

    @property
    def size(self) -> int:
        """Bytes on disk. Raises as `find` does."""
        return self._current().size

    def find(self, tags: Tags) -> Locations:
        """Hints where these subjects' records lie; 0 for subjects unknown.

        Raises `OSError` and `ValueError` when another worker has replaced the table, and what it left is no table.
        """
        return self._current().look_up(tags)

    def _current(self) -> Table:
        """The table, or its successor if another worker has replaced it.

        That may have been replaced as well: its hints are then a little old, and the next reading takes the next one.
        """
        if self._table.is_retired():
            self._table = Table(self._path, self._identity)
        return self._table

    # For the holder of the write lock.

    def ensure(self, last: int) -> bool:
        """Makes sure that the table to be changed is the one of that name and can be trusted, or begins a new one.

        Comes before anything below. `last` is the log's last block: a table cannot cover more. Returns whether it had
        to begin a new one. Raises `OSError` if that fails.
        """
        if not self._own.is_at(self._path):
            try:
                self._table = self._own = Table(self._path, self._identity)
            except (OSError, ValueError):
                self._begin_again()
                return True
        head = self._own.read_head()
        if head is None or head.covered > last:
            self._begin_again()
            return True
        self._head = head
        return False

    @property
    def covered(self) -> int:
        """The last block of the log that has been taken in."""
        return self._head.covered

    def cover(self, block: int) -> None:
        """Says that every block up to this one has been taken in."""
        self._write_head(self._head._replace(covered=block))

    def locate(self, tags: Tags) -> Locations:
        """As `find`."""
        return self._own.look_up(tags)

    def point(self, tags: Tags, locations: Locations) -> None:
        """Points subjects, new ones or known, each once, to these locations.

        Raises `OSError` if the table must grow and cannot, and `ValueError` if it proves damaged: it is then empty.
        """
        table = self._own
        rows, slots = table.find(tags)
        self._count(int(np.count_nonzero(table.locations[slots] == 0)))
        table.locations[slots] = locations[rows]
        self._add(np.delete(tags, rows), np.delete(locations, rows))

    def clear(self, tags: Tags, locations: Locations) -> None:
        """Forgets subjects, each unless it has moved on from the given location."""
        table = self._own
        rows, slots = table.find(tags)
        slots = slots[table.locations[slots] == locations[rows]]
        table.locations[slots] = 0
        self._count(-len(slots))

    def _add(self, tags: Tags, locations: Locations) -> None:
        while len(tags):
            # Few at a time, since each chooses by how full its homes were before any of the others came.
            at_once = min(len(tags), max(_LEAST, self._own.buckets // 8))
            if self._head.subjects + at_once > _FULLEST * self._own.slots:
                self._grow()
                continue
            left = self._own.add(tags[:at_once], locations[:at_once])
            self._count(at_once - len(left))
            if len(left):
                self._grow()
            rest = np.concatenate((left, np.arange(at_once, len(tags))))
            tags, locations = tags[rest], locations[rest]

    def _grow(self) -> None:
        old, subjects = self._own, self._own.count()
        if subjects < _SPARSE * old.slots:
            self._begin_again()
            raise ValueError("the index is damaged: it is full and nearly empty")
        new = begin(self._path, self._identity, 2 * old.buckets)
        for start in range(0, old.buckets, _AT_A_TIME):
            old.split(new, start, min(start + _AT_A_TIME, old.buckets))
        self._replace_by(new, self._head._replace(subjects=subjects))

    def _begin_again(self) -> None:
        self._replace_by(begin(self._path, self._identity, _LEAST), Head())

    def _replace_by(self, new: Table, head: Head) -> None:
        old = self._own
        new.write_head(head)
        publish(self._path)
        self._table = self._own = new
        self._head = head
        old.retire()

    def _count(self, more: int) -> None:
        self._write_head(self._head._replace(subjects=max(0, self._head.subjects + more)))

    def _write_head(self, head: Head) -> None:
        self._own.write_head(head)
        self._head = head


def _boot() -> bytes:
    """What tells this run of the machine from others; where that cannot be known, every opening is another one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return os.urandom(16)
