"""Bitcask-like: an append-only log, and a hash index that finds the records in it.

The log is an LMDB database of blocks (store.block) under ascending numbers. It is only ever appended to, so a commit
writes whole pages one after the other, however many subjects there are. A subject's record is replaced by appending the
new one and pointing the index (store.index) to it.

Whoever writes holds the store's lock (`Folder.exclusive`) through all of

    commit the blocks → point the index to them → say that the index covers them

in this order, so that no hint ever points to what was not committed. If the writer dies in between, the next one
catches up. Compaction (store.compaction) works in the opposite order: the index forgets what has expired, then blocks
that nothing points to are deleted. What a dead writer left undone of that, the next compaction finds again.
"""

import logging
from collections.abc import Sequence
from itertools import islice, takewhile

import lmdb
import numpy as np
from numpy.typing import NDArray

from broker.store import block
from broker.store.base import ProgressCallback, no_progress
from broker.store.block import Rows
from broker.store.cipher import Buffer
from broker.store.compaction import CompactionSchedule, judge, numbers_in
from broker.store.fair_lock import FairLock
from broker.store.index_table import Locations, Tags, tags_of
from broker.store.lmdb_file import StoreFile
from broker.store.memtable import FrozenMemtable

log = logging.getLogger(__name__)

_AT_ONCE = 1_000  # subjects packed, or blocks taken into the index, in one step, for which a reader waits
_ANSWERS_AT_ONCE = 4_000  # and answers: with thousands of institutions, those about one subject
_CATCH_UP = 50_000  # blocks taken into the index in one turn, half a million records: some half a second
_NAME = 8  # bytes of a block's number as LMDB's key, big-endian: in order of numbers


class Log:
    """The records of one open file.

    State: the compaction schedule, and how many records proved damaged.
    """

    def __init__(self, file: StoreFile, turns: FairLock) -> None:
        """`turns`: held while records are read, and during each step of a commit."""
        self._file = file
        self._fair_lock = turns
        self._schedule = CompactionSchedule()
        self.damaged = 0

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The records of these subjects. Raises `lmdb.Error`."""
        tags = tags_of(b"".join(keys))
        locations = self._file.index.find(tags)
        # Copies of whole blocks: making views of them takes twice as long.
        with self._file.env.begin(db=self._file.records) as txn:
            records = self._open(txn, keys, locations)
        if records.count(None) + np.count_nonzero(locations) > len(keys):
            # A record moves when it is renewed, perhaps just after its location was read: look where it is now.
            lost = [index for index, held in enumerate(records) if held is None and locations[index]]
            for index, held in zip(lost, self._look_again([keys[i] for i in lost], tags[lost]), strict=True):
                records[index] = held
        return records

    def commit(self, memtable: FrozenMemtable, now: int) -> None:
        """Adds a memtable's answers. Raises `lmdb.MapFullError` when no more may be added, and other `lmdb.Error`."""
        index, subjects = self._file.index, list(memtable.subjects)
        pointers: list[tuple[Tags, Locations]] = []
        with self._writing() as txn:
            if self._file.is_full(txn):
                raise lmdb.MapFullError("no more than what deleting needs is left")
            number = _last(txn) + 1
            size = max(1, min(_AT_ONCE, _ANSWERS_AT_ONCE * len(subjects) // max(1, memtable.size)))
            for start in range(0, len(subjects), size):
                with self._fair_lock:
                    tags, locations, written = self._append(txn, number, memtable, subjects[start : start + size], now)
                number += written
                pointers.append((tags, locations))
        for tags, locations in pointers:
            index.point(tags, locations)
        index.cover(number - 1)
        self._schedule.note_appended(len(subjects))

    def _append(
        self, txn: lmdb.Transaction, number: int, memtable: FrozenMemtable, keys: Sequence[bytes], now: int
    ) -> tuple[Tags, Locations, int]:
        """Writes records of some of a memtable's subjects in blocks from `number` on. Returns where, and how many."""
        keys, records, expires = memtable.records(keys, self._held(txn, keys), now)
        tags = tags_of(b"".join(keys))
        blocks, locations = block.build(number, tags, expires, self._file.cipher.seal_many(keys, records))
        names = _names(np.arange(number, number + len(blocks)))
        txn.cursor().putmulti(list(zip(names, blocks, strict=True)), append=True)
        return tags, locations, len(blocks)

    def catch_up(self, progress: ProgressCallback = no_progress) -> bool:
        """Takes into the index what was committed since it was last written. Raises `lmdb.Error`, `OSError`.

        `progress` is called for every thousand blocks. Returns whether it has caught up: an index that was lost takes
        several turns, between which others may write.
        """
        index = self._file.index
        with self._reading() as txn:
            last = _last(txn)
            if index.ensure(last):
                log.warning("store %s: its index is lost or damaged; it is made again", self._file.path)
            if last <= index.covered:
                return True
            cursor = txn.cursor()
            cursor.set_range(_names(np.array([index.covered + 1]))[0])
            missed = islice(cursor.iternext(), _CATCH_UP)
            while part := list(islice(missed, _AT_ONCE)):
                rows, locations = _rows(part)
                tags, latest = np.unique(rows["tag"][::-1], return_index=True)  # of a subject's records, the last
                index.point(tags, locations[::-1][latest])
                index.cover(_number(part[-1][0]))
                progress()
        return index.covered == last

    def compact(self, now: int) -> None:
        """One step of compaction: removes what has expired or been replaced in the extents that are due.

        `now` in seconds since the epoch. Raises `lmdb.Error`.
        """
        index, schedule = self._file.index, self._schedule
        with self._reading() as txn:
            last = _last(txn)
            extents, blocks = self._read_due(txn, last, now)
            rows, locations = _rows(blocks)
        tags, expires = rows["tag"].astype(np.uint64), rows["expires"].astype(np.int64)
        block_of = block.numbers_of(locations)
        examined = np.array([_number(name) for name, _ in blocks], np.int64)
        verdict = judge(examined, block_of, expires, index.locate(tags) == locations, now=now, last=last)
        index.clear(tags[verdict.expired], locations[verdict.expired])
        if len(verdict.dead):
            with self._writing() as txn:
                for name in _names(verdict.dead):
                    txn.delete(name)
        schedule.note_step(extents, block_of[verdict.needed], expires[verdict.needed], last)

    def _read_due(self, txn: lmdb.Transaction, last: int, now: int) -> tuple[list[int], list[tuple[bytes, Buffer]]]:
        """The extents to examine in this step, and their blocks."""
        cursor = txn.cursor()
        extents: list[int] = []
        blocks: list[tuple[bytes, Buffer]] = []
        seen = 0
        if cursor.first():
            for extent in self._schedule.due(_number(cursor.key()), last, now):
                extents.append(extent)
                for name, held in _blocks_of(cursor, extent):
                    seen += block.count_of(held)
                    blocks.append((name, held))
                if seen >= self._schedule.quota:
                    break
        return extents, blocks

    def _held(self, txn: lmdb.Transaction, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is on disk of these subjects."""
        locations = self._file.index.locate(tags_of(b"".join(keys)))
        if not locations.any():
            return {}
        self._schedule.note_replaced(block.numbers_of(locations[locations != 0]))
        records = self._open(txn, keys, locations)
        return {key: held for key, held in zip(keys, records, strict=True) if held is not None}

    def _open(self, txn: lmdb.Transaction, keys: Sequence[bytes], locations: Locations) -> list[bytes | None]:
        """The records at these locations; None where there is none, or not this subject's."""
        records: list[bytes | None] = [None] * len(keys)
        (known,) = locations.nonzero()
        known = known[locations[known].argsort()]
        starts, ends = block.spans_of(locations[known])
        blocks = _blocks(txn, block.numbers_of(locations[known]))
        indices = known.tolist()
        wanted = [keys[index] for index in indices]
        for index, opened in zip(
            indices, self._file.cipher.open_many(zip(wanted, blocks, starts, ends, strict=True)), strict=True
        ):
            records[index] = opened
        return records

    def _look_again(self, keys: Sequence[bytes], tags: Tags) -> list[bytes | None]:
        locations = self._file.index.find(tags)
        with self._reading() as txn:
            records = self._open(txn, keys, locations)
            for tag, location, held in zip(tags, locations, records, strict=True):
                if held is None and location and _is_there(txn, tag, location):
                    self.damaged += 1
        return records

    def _reading(self) -> lmdb.Transaction:
        return self._file.env.begin(db=self._file.records, buffers=True)

    def _writing(self) -> lmdb.Transaction:
        return self._file.env.begin(db=self._file.records, buffers=True, write=True)


def _blocks_of(cursor: lmdb.Cursor, extent: int) -> list[tuple[bytes, Buffer]]:
    numbers = numbers_in(extent)
    names = _names(np.array([numbers.start, numbers.stop]))
    if not cursor.set_range(names[0]):
        return []
    return list(takewhile(lambda item: item[0] < names[1], ((bytes(name), held) for name, held in cursor.iternext())))


def _last(txn: lmdb.Transaction) -> int:
    """The number of the last block; 0 if there is none."""
    cursor = txn.cursor()
    return _number(cursor.key()) if cursor.last() else 0


def _names(numbers: NDArray[np.int64]) -> list[bytes]:
    """LMDB's keys for blocks."""
    raw = numbers.astype(">i8").tobytes()
    return [raw[at : at + _NAME] for at in range(0, len(raw), _NAME)]


def _number(name: Buffer) -> int:
    """The number of the block under this key."""
    return int.from_bytes(name, "big")


def _rows(part: Sequence[tuple[Buffer, Buffer]]) -> tuple[Rows, Locations]:
    return block.rows_of([_number(name) for name, _ in part], [held for _, held in part])


def _blocks(txn: lmdb.Transaction, numbers: NDArray[np.int64]) -> list[Buffer]:
    """The blocks of these numbers, which ascend; empty where there is none."""
    differs = np.ones(len(numbers), bool)
    differs[1:] = numbers[1:] != numbers[:-1]
    names = _names(numbers[differs])
    found = txn.cursor().getmulti(names)
    if len(found) == len(names):
        blocks: list[Buffer] = [held for _, held in found]
    else:
        by_name = {bytes(name): held for name, held in found}
        blocks = [by_name.get(name, b"") for name in names]
    if len(names) == len(numbers):
        return blocks
    return [blocks[index] for index in (differs.cumsum() - 1).tolist()]


def _is_there(txn: lmdb.Transaction, tag: int, location: int) -> bool:
    """Whether the block says that this subject's record is at this location.

    If so, a record that cannot be read is damaged. If not, the hint was wrong, which is not an error.
    """
    numbers = block.numbers_of(np.array([location], np.uint64))
    rows, locations = block.rows_of(numbers.tolist(), _blocks(txn, numbers))
    return bool(((rows["tag"] == tag) & (locations == location)).any())
