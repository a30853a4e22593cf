"""The records on disk: appended in blocks, found through the index, swept from the old end.

Only ever appended to, so that a commit writes whole pages one after the other, however many subjects there are. A
subject's record is replaced by appending the new one and pointing the index to it.

A writer holds the store's lock (`StoreFile.exclusive`) through all of

    commit the blocks → point the index to them → say that the index covers them

in this order, so that no hint ever points to what was not committed. If it dies in between, the next writer catches up.
A sweep goes the other way about: it forgets the hints to what has expired, then deletes blocks nothing points to. What
a dead writer left undone of that, the next sweep finds again. The last block always stays, so that numbers only grow,
and the index never covers more than there is.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import lmdb
import numpy as np
from numpy.typing import NDArray

from broker.store import block
from broker.store.base import ProgressCallback, no_progress
from broker.store.block import Rows
from broker.store.cipher import Buffer
from broker.store.fair_lock import FairLock
from broker.store.index_table import Locations, Tags, tags_of
from broker.store.lmdb_file import StoreFile
from broker.store.memtable import FrozenMemtable

log = logging.getLogger(__name__)

_SEGMENT = 10  # bits of a block's number below that of its segment: 1,024 blocks, some 10,000 records
_SWEEP = 5_000  # records looked at in one sweep, at least, if there are as many to look at: some 2 ms
_PACE = 3  # and for each record appended since the last one: a log left behind by others is soon gone round
_AT_ONCE = 1_000  # subjects packed, or blocks taken into the index, in one step, for which a reader waits
_CATCH_UP = 50_000  # blocks taken into the index in one turn, half a million records: some half a second
_NAME = 8  # bytes of a block's number as LMDB's key, big-endian: in order of numbers


class Log:
    """The records of one open file.

    State: how far the sweep has come, when each segment is worth another look, and how many of its records may be
    replaced before that; how many records were appended since the last sweep, and how many proved damaged.
    """

    def __init__(self, file: StoreFile, turns: FairLock) -> None:
        """`turns`: taken by whoever reads, and here for each step of a commit."""
        self._file = file
        self._fair_lock = turns
        self._swept = -1
        self._due: dict[int, int] = {}
        self._to_replace: dict[int, int] = {}
        self._appended = 0
        self.damaged = 0

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The records of these subjects. Raises `lmdb.Error`."""
        tags = tags_of(b"".join(keys))
        places = self._file.index.find(tags)
        # Copies of whole blocks: making views of them takes twice as long.
        with self._file.env.begin(db=self._file.records) as txn:
            records = self._open(txn, keys, places)
        if records.count(None) + np.count_nonzero(places) > len(keys):
            # A record moves when it is renewed, perhaps just after its place was read: look where it is now.
            lost = [index for index, held in enumerate(records) if held is None and places[index]]
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
            for start in range(0, len(subjects), _AT_ONCE):
                with self._fair_lock:
                    tags, places, written = self._append(txn, number, memtable, subjects[start : start + _AT_ONCE], now)
                number += written
                pointers.append((tags, places))
        for tags, places in pointers:
            index.point(tags, places)
        index.cover(number - 1)
        self._appended += len(subjects)

    def _append(
        self, txn: lmdb.Transaction, number: int, memtable: FrozenMemtable, keys: Sequence[bytes], now: int
    ) -> tuple[Tags, Locations, int]:
        """Writes records of some of a memtable's subjects in blocks from `number` on. Returns where, and how many."""
        keys, records, expires = memtable.records(keys, self._held(txn, keys), now)
        tags = tags_of(b"".join(keys))
        blocks, places = block.build(number, tags, expires, self._file.cipher.seal_many(keys, records))
        names = _names(np.arange(number, number + len(blocks)))
        txn.cursor().putmulti(list(zip(names, blocks, strict=True)), append=True)
        return tags, places, len(blocks)

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
                rows, places = _rows(part)
                tags, latest = np.unique(rows["tag"][::-1], return_index=True)  # of a subject's records, the last
                index.point(tags, places[::-1][latest])
                index.cover(int.from_bytes(part[-1][0], "big"))
                progress()
        return index.covered == last

    def sweep(self, now: int) -> None:
        """Removes what has expired or been replaced in the next segments that are due. Raises `lmdb.Error`.

        A block stays while anything in it is needed, so the log holds what is put within the longest lifetime. Segments
        in which nothing can have expired are left alone: looking at them would bring the whole log up from disk again
        and again.
        """
        index = self._file.index
        with self._reading() as txn:
            last = _last(txn)
            newest = last >> _SEGMENT
            part = list(self._next_blocks(txn, newest, max(_SWEEP, _PACE * self._appended), now))
            rows, places = _rows(part)
        tags = rows["tag"].astype(np.uint64)
        live = index.locate(tags) == places
        expired = live & (rows["expires"] <= now)
        index.clear(tags[expired], places[expired])
        self._appended = 0
        numbers = np.array([int.from_bytes(name, "big") for name, _ in part], np.int64)
        needed = live & ~expired
        kept = block.numbers_of(places[needed])
        if len(dead := np.setdiff1d(numbers, [*kept, last])):
            with self._writing() as txn:
                for name in _names(dead):
                    txn.delete(name)
        self._plan_ahead(np.unique(numbers >> _SEGMENT), kept, rows["expires"][needed], newest)

    def _next_blocks(self, txn: lmdb.Transaction, newest: int, least: int, now: int) -> Iterator[tuple[bytes, Buffer]]:
        """The blocks of the next segments that are due, until so many records have been seen."""
        cursor = txn.cursor()
        if not cursor.first():
            return
        oldest = int.from_bytes(cursor.key(), "big") >> _SEGMENT
        self._due = {segment: due for segment, due in self._due.items() if segment >= oldest}
        self._to_replace = {segment: count for segment, count in self._to_replace.items() if segment in self._due}
        start = self._swept + 1 if oldest <= self._swept < newest else oldest
        seen = 0
        for segment in chain(range(start, newest + 1), range(oldest, start)):
            if self._due.get(segment, 0) > now:
                continue
            self._swept = segment
            for name, held in _blocks_of(cursor, segment):
                seen += block.count_of(held)
                yield name, held
            if seen >= least:
                return

    def _plan_ahead(
        self, segments: NDArray[np.int64], blocks: NDArray[np.int64], expires: NDArray[np.uint32], newest: int
    ) -> None:
        """Looks at segments again when half of their blocks have expired, or half of their records were replaced.

        The newest one still grows: it is always due.
        """
        last = np.zeros(len(blocks), np.int64)
        names, which = np.unique(blocks, return_inverse=True)
        np.maximum.at(last, which, expires.astype(np.int64))
        for segment in segments.tolist():
            if segment < newest:
                lasts = np.sort(last[: len(names)][names >> _SEGMENT == segment])
                self._due[segment] = int(lasts[(len(lasts) - 1) // 2]) if len(lasts) else 0
                self._to_replace[segment] = int(np.count_nonzero(blocks >> _SEGMENT == segment)) // 2

    def _held(self, txn: lmdb.Transaction, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is on disk of these subjects."""
        places = self._file.index.locate(tags_of(b"".join(keys)))
        if not places.any():
            return {}
        self._note_replaced(places[places != 0])
        records = self._open(txn, keys, places)
        return {key: held for key, held in zip(keys, records, strict=True) if held is not None}

    def _note_replaced(self, places: Locations) -> None:
        segments, counts = np.unique(block.numbers_of(places) >> _SEGMENT, return_counts=True)
        for segment, count in zip(segments.tolist(), counts.tolist(), strict=True):
            if segment in self._to_replace:
                self._to_replace[segment] -= count
                if self._to_replace[segment] <= 0:
                    self._due[segment] = 0

    def _open(self, txn: lmdb.Transaction, keys: Sequence[bytes], places: Locations) -> list[bytes | None]:
        """The records in these places; None where there is none, or not this subject's."""
        records: list[bytes | None] = [None] * len(keys)
        (known,) = places.nonzero()
        known = known[places[known].argsort()]
        starts, ends = block.spans_of(places[known])
        blocks = _blocks(txn, block.numbers_of(places[known]))
        indices = known.tolist()
        wanted = [keys[index] for index in indices]
        for index, opened in zip(
            indices, self._file.cipher.open_many(zip(wanted, blocks, starts, ends, strict=True)), strict=True
        ):
            records[index] = opened
        return records

    def _look_again(self, keys: Sequence[bytes], tags: Tags) -> list[bytes | None]:
        places = self._file.index.find(tags)
        with self._reading() as txn:
            records = self._open(txn, keys, places)
            for tag, place, held in zip(tags, places, records, strict=True):
                if held is None and place and _is_there(txn, tag, place):
                    self.damaged += 1
        return records

    def _reading(self) -> lmdb.Transaction:
        return self._file.env.begin(db=self._file.records, buffers=True)

    def _writing(self) -> lmdb.Transaction:
        return self._file.env.begin(db=self._file.records, buffers=True, write=True)


def _blocks_of(cursor: lmdb.Cursor, segment: int) -> Iterator[tuple[bytes, Buffer]]:
    cursor.set_range(_names(np.array([segment << _SEGMENT]))[0])
    for name, held in cursor.iternext():
        if int.from_bytes(name, "big") >> _SEGMENT != segment:
            return
        yield bytes(name), held


def _last(txn: lmdb.Transaction) -> int:
    """The number of the last block; 0 if there is none."""
    cursor = txn.cursor()
    return int.from_bytes(cursor.key(), "big") if cursor.last() else 0


def _names(numbers: NDArray[np.int64]) -> list[bytes]:
    """LMDB's keys for blocks."""
    raw = numbers.astype(">i8").tobytes()
    return [raw[at : at + _NAME] for at in range(0, len(raw), _NAME)]


def _rows(part: Sequence[tuple[Buffer, Buffer]]) -> tuple[Rows, Locations]:
    return block.rows_of([int.from_bytes(name, "big") for name, _ in part], [held for _, held in part])


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


def _is_there(txn: lmdb.Transaction, tag: int, place: int) -> bool:
    """Whether the block says that this subject's record is in this place: if so, and it cannot be read, it is damaged.

    If not, the hint was wrong, which is nobody's fault.
    """
    numbers = block.numbers_of(np.array([place], np.uint64))
    rows, places = block.rows_of(numbers.tolist(), _blocks(txn, numbers))
    return bool(((rows["tag"] == tag) & (places == place)).any())
