"""Finding records: the store's log and hash index, against LMDB's B-tree keyed by the subjects' keys.

Two questions are told apart. Could a tree take the place of the index alone, and say where each record is in the log?
And could one tree hold the records themselves, so that there would be no log, no index and no compaction?

As many subjects are added at a time as the store's writer adds in one round. The tree is given them in the order of
their keys, which suits it best.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import lmdb
import numpy as np

from benchmarks.alternatives.alternative import Alternative
from benchmarks.store_growth import Numbers, SubjectGenerator
from broker.store.cipher import Cipher
from broker.store.disk import Disk
from broker.store.index import Index
from broker.store.index_table import Locations, tags_of
from broker.store.lmdb_check import ENGINE
from broker.store.memtable import FrozenMemtable, Memtable
from broker.store.memtables import ROUND_LIMIT

_BATCH = 1_000
_MAP_SIZE = 8 << 30  # bytes
_LOCATION = 8  # bytes


class Growth:
    """Which subjects are there before the first round, which are added in each, and which are read."""

    def __init__(self, generator: SubjectGenerator, *, records: int, rounds: int, size: int = ROUND_LIMIT) -> None:
        """`records`: how many there are in the end, but at least what the rounds add.

        `size`: how many a round adds, and reads; a round reads whole batches of 1,000.
        """
        self._first = max(0, records - rounds * size)
        self._end = self._first + rounds * size
        self.size = size
        self.generator = generator

    def before(self) -> list[Numbers]:
        """The subjects that are there before, in parts as they are added in a round."""
        return [np.arange(start, min(start + self.size, self._first)) for start in range(0, self._first, self.size)]

    def added_in(self, round_number: int) -> Numbers:
        """The subjects that a round adds."""
        return np.arange(self.size) + self._first + round_number * self.size

    def read_in(self, round_number: int) -> list[list[bytes]]:
        """The keys that a round reads, in batches: drawn from all subjects."""
        drawn = np.random.default_rng(round_number).integers(0, self._end, (self.size // _BATCH, _BATCH))
        return list(map(self.generator.keys, drawn))


class _Located(NamedTuple):
    """Subjects, and where their records are."""

    keys: list[bytes]
    locations: Locations


def index_alternatives(growth: Growth, stack: ExitStack, folder: Path) -> list[Alternative]:
    """Where records are, without the records. Neither way waits for the disk, since an index can be made again."""
    index = Index(folder / "index", store=b"alternatives")
    index.ensure(0)
    tree = _TreeIndex(folder / "index-tree")
    stack.callback(tree.close)

    def located(numbers: Numbers) -> _Located:
        return _Located(growth.generator.keys(numbers), (numbers + 1).astype(np.uint64))  # 0 is nowhere

    def point(new: _Located) -> None:
        for start in range(0, len(new.keys), _BATCH):
            part = slice(start, start + _BATCH)
            index.point(tags_of(b"".join(new.keys[part])), new.locations[part])

    for numbers in growth.before():
        point(located(numbers))
        tree.point(located(numbers))
    part, unit, library_way = "store.index, store.index_table", "subject", "an LMDB tree from keys to locations"
    return [
        Alternative(
            part, "add where a record is", unit, growth.size, library_way,
            prepare=lambda number: located(growth.added_in(number)),
            ours=point,
            library=tree.point,
        ),
        Alternative(
            part, "find where a record is", unit, growth.size, library_way,
            prepare=growth.read_in,
            ours=lambda batches: [index.find(tags_of(b"".join(keys))) for keys in batches],
            library=lambda batches: list(map(tree.find, batches)),
            same=lambda ours, library: bool(np.array_equal(ours, library) and np.all(ours)),
        ),
    ]  # fmt: skip


class _TreeIndex:
    """Locations in LMDB under the subjects' keys."""

    def __init__(self, folder: Path) -> None:
        self._env = lmdb.open(str(folder), map_size=_MAP_SIZE, sync=False, writemap=True, lib_version=ENGINE)

    def point(self, new: _Located) -> None:
        raw = new.locations.tobytes()
        values = [raw[at : at + _LOCATION] for at in range(0, len(raw), _LOCATION)]
        with self._env.begin(write=True) as txn:
            txn.cursor().putmulti(sorted(zip(new.keys, values, strict=True)))

    def find(self, keys: Sequence[bytes]) -> Locations:
        with self._env.begin() as txn:
            found = dict(txn.cursor().getmulti(sorted(keys)))
        nowhere = bytes(_LOCATION)
        return np.frombuffer(b"".join([found.get(key, nowhere) for key in keys]), np.uint64)

    def close(self) -> None:
        self._env.close()


def store_alternatives(growth: Growth, stack: ExitStack, folder: Path) -> list[Alternative]:
    """The records themselves, encrypted. What a round adds is committed to the disk in one transaction."""
    disk = Disk(folder / "log", master_keys=(bytes(32),), map_size=_MAP_SIZE)
    stack.callback(disk.close)
    tree = _TreeStore(folder / "tree")
    stack.callback(tree.close)

    def memtable(numbers: Numbers) -> FrozenMemtable:
        filled = Memtable()
        for statements in growth.generator.statements(int(numbers[0]), int(numbers[-1]) + 1):
            filled.put(statements, int(time.time()))
        return filled.view

    def commit(filled: FrozenMemtable) -> None:
        while disk.work(filled, int(time.time()), pause=time.sleep) is None:
            pass

    for numbers in growth.before():
        filled = memtable(numbers)
        commit(filled)
        tree.commit(filled)
    part, unit, library_way = "store.log, store.block, store.index", "subject", "an LMDB tree from keys to records"
    return [
        Alternative(
            part, "commit new records", unit, growth.size, library_way,
            prepare=lambda number: memtable(growth.added_in(number)),
            ours=commit,
            library=tree.commit,
        ),
        Alternative(
            part, "read records", unit, growth.size, library_way,
            prepare=growth.read_in,
            ours=lambda batches: list(map(disk.read, batches)),
            library=lambda batches: list(map(tree.read, batches)),
            same=lambda ours, library: ours == library and all(None not in records for records in ours),
        ),
    ]  # fmt: skip


class _TreeStore:
    """Records in LMDB under the subjects' keys, with the store's settings and encryption."""

    def __init__(self, folder: Path) -> None:
        self._env = lmdb.open(str(folder), map_size=_MAP_SIZE, metasync=False, readahead=False, lib_version=ENGINE)
        self._cipher = Cipher(bytes(32))

    def commit(self, memtable: FrozenMemtable) -> None:
        subjects, now = sorted(memtable.subjects), int(time.time())
        with self._env.begin(write=True) as txn:
            for start in range(0, len(subjects), _BATCH):
                part = subjects[start : start + _BATCH]
                keys, records, _ = memtable.records(part, self._opened(txn, part), now)
                txn.cursor().putmulti(list(zip(keys, self._cipher.seal_many(keys, records), strict=True)))

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._env.begin() as txn:
            return list(map(self._opened(txn, sorted(keys)).get, keys))

    def _opened(self, txn: lmdb.Transaction, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The records that are held, of subjects in the order of their keys."""
        found = [(bytes(key), sealed) for key, sealed in txn.cursor().getmulti(keys)]
        opened = self._cipher.open_many((key, sealed, 0, None) for key, sealed in found)
        return {key: record for (key, _), record in zip(found, opened, strict=True) if record is not None}

    def close(self) -> None:
        self._env.close()
