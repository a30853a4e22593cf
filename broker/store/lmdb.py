"""The embedded store: one LMDB file, one writer thread, group commits.

A put goes into memory and returns. The writer takes everything put since its last commit, adds each subject's new
answers to the record on disk, and commits all of it at once, in order of keys. Reads see memory over disk:

    put                → pending
    writer begins      → pending becomes committing, a new pending begins      (under the lock)
    writer commits     → committing is let go of                               (under the lock)

and a reader takes hold of both layers before it begins to read the disk. Were it the other way round, a commit between
the two steps would hide its records from both.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import lmdb

from broker.core import record, wire
from broker.core.record import Entry, Fields
from broker.errors import StoreError, place
from broker.model import Source
from broker.store.base import Statements, StoreStatistics
from broker.store.lmdb_file import DAMAGE, StoreFile

log = logging.getLogger(__name__)

_COMMIT_PAUSE = 0.5  # s between commits: a subject's answers from all institutions come together in one write
_IDLE_PAUSE = 1.0  # s between sweeps when nothing is put
_READER_CHECK_PAUSE = 60.0  # s; a dead process's read transaction keeps pages from being reused until then
_PENDING_LIMIT = 2_000_000  # answers; about 1 GiB of memory. Beyond, the disk is too slow and answers are dropped
_SWEEP = 5_000  # records looked at between two commits: some 5 ms
_EXPIRY = 4  # bytes before each sealed record: when the last of its answers expires

_Layer = dict[bytes, dict[bytes, Fields]]
"""Answers in memory, by institution and key."""


class LmdbStore:
    """A `Store` in an LMDB file.

    State: the two layers in memory, the open file, and totals for `statistics`. `_lock` guards what the writer thread
    and the callers' thread share; all public methods belong to one thread.
    """

    def __init__(self, path: Path, *, master_key: bytes, map_size: int, clock: Callable[[], float]) -> None:
        """Opens or begins the cache in folder `path` (see `StoreFile`). `clock` gives seconds since the epoch.

        `map_size`, in bytes, bounds the file; it takes no room before it is filled.
        """
        self._clock = clock
        self._map_size = map_size
        self._file = StoreFile(path, master_key=master_key, map_size=map_size)
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._guard = threading.Lock()  # held while reading the file, and while replacing it; never with _lock
        self._pending: _Layer = {}
        self._pending_size = 0
        self._committing: _Layer = {}
        self._damage: lmdb.Error | None = None
        self._closing = False
        self._flushing = False
        self._swept_to = b""
        self._hits = self._misses = self._commits = self._dropped = self._damaged = 0
        self._commit_seconds = 0.0
        self._healthy = True
        self._writer = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._writer.start()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        with self._lock:
            layers = (self._committing, self._pending)
        records = self._read(keys)
        for layer in layers:
            if layer:
                self._lay_over(records, keys, layer)
        misses = records.count(None)
        self._hits += len(records) - misses
        self._misses += misses
        return records

    def put_many(self, statements: Statements) -> None:
        """See `Store`."""
        if not statements.keys:
            return
        cached = wire.resource(statements.segments, Source.CACHE)
        rows = zip(statements.outcomes, statements.observed, statements.expires, cached, strict=True)
        with self._lock:
            if self._pending_size + len(cached) > _PENDING_LIMIT:
                self._drop(len(cached), "the disk does not keep up")
                return
            held = self._pending.setdefault(statements.institution, {})
            if held.keys().isdisjoint(statements.keys):  # as always, nearly
                held.update(zip(statements.keys, rows, strict=True))
            else:
                _keep_newer(held, zip(statements.keys, rows, strict=True))
            self._pending_size += len(cached)
            self._wake.notify()

    def flush(self) -> None:
        """See `Store`."""
        with self._lock:
            self._flushing = True
            self._wake.notify()
            self._wake.wait_for(lambda: not (self._pending or self._committing))
            self._flushing = False

    def statistics(self) -> StoreStatistics:
        """See `Store`."""
        with self._lock:
            pending = sum(map(len, self._pending.values()))
        records, bytes_used = self._measure()
        return StoreStatistics(
            records=records,
            bytes_used=bytes_used,
            bytes_limit=self._map_size,
            pending=pending,
            hits=self._hits,
            misses=self._misses,
            commits=self._commits,
            commit_seconds=self._commit_seconds,
            dropped=self._dropped,
            damaged=self._damaged,
            healthy=self._healthy,
        )

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            self._closing = True
            self._wake.notify()
        self._writer.join()
        self._file.close()

    def _measure(self) -> tuple[int, int]:
        """Records and bytes used; nothing while the file is damaged."""
        try:
            with self._guard, self._file.env.begin() as txn:
                return int(txn.stat(self._file.records)["entries"]), self._file.bytes_used()
        except lmdb.Error:
            return 0, 0

    def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            with self._guard, self._file.env.begin(db=self._file.records) as txn:
                # In order of keys, each search begins near where the last one ended.
                found = txn.cursor().getmulti(sorted(keys))
        except lmdb.Error as error:  # nothing is known until the writer has begun a new file
            self._report(error)
            return [None] * len(keys)
        opened = self._file.cipher.open_many(found, skip=_EXPIRY)
        self._damaged += list(opened.values()).count(None)
        return [opened.get(key) for key in keys]

    def _lay_over(self, records: list[bytes | None], keys: Sequence[bytes], layer: _Layer) -> None:
        newer: dict[int, list[Entry]] = defaultdict(list)
        for institution, answers in layer.items():
            if answers.keys().isdisjoint(keys):
                continue
            for index, key in enumerate(keys):
                if key in answers:
                    newer[index].append(Entry(institution, *answers[key]))
        now = int(self._clock())
        for index, entries in newer.items():
            records[index] = record.merge(records[index], entries, now)

    def _report(self, error: lmdb.Error) -> None:
        """Has the writer set a damaged file aside. Other trouble, such as too many readers, is not the file's."""
        if isinstance(error, DAMAGE):
            with self._lock:
                self._damage = error
                self._wake.notify()
        elif self._file.is_open:
            log.error("store %s cannot be read: %s; lookups go on without", self._file.path, error)

    # The writer thread.

    def _write(self) -> None:
        checked = time.monotonic()
        while self._take():
            try:
                self._mend()
                self._sweep()  # comes first: it makes room
                if self._committing:
                    self._commit(self._committing)
                if time.monotonic() - checked > _READER_CHECK_PAUSE:
                    self._file.env.reader_check()
                    checked = time.monotonic()
            except lmdb.MapFullError:
                self._drop_committing("the store is full; raise store.map_size, or shorten lifetimes")
            except StoreError as error:
                self._drop_committing(str(error))
            except (lmdb.Error, OSError) as error:
                self._drop_committing(f"writing failed: {error}")
                if isinstance(error, lmdb.CorruptedError):
                    self._damage = error
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be kept, and flush never end
                self._drop_committing(f"writing failed: {place(error)}")
            finally:
                with self._lock:
                    self._committing = {}
                    self._wake.notify_all()

    def _take(self) -> bool:
        """Waits for something to do and makes it `_committing`. False when all is done and the store closes."""
        with self._lock:
            self._wake.wait_for(lambda: self._flushing or self._closing, timeout=_COMMIT_PAUSE)
            self._wake.wait_for(
                lambda: self._pending or self._closing or self._damage, timeout=_IDLE_PAUSE - _COMMIT_PAUSE
            )
            if self._closing and not self._pending:
                return False
            self._committing, self._pending, self._pending_size = self._pending, {}, 0
            return True

    def _mend(self) -> None:
        """Begins a new file in place of a damaged one. What fails of that is tried again in the next round."""
        if self._file.is_open and not self._damage:
            return
        with self._guard:
            if self._damage:
                self._file.set_aside(self._damage)
                self._damage = None
            self._file.open()

    def _commit(self, layer: _Layer) -> None:
        began = time.perf_counter()
        now = int(self._clock())
        keys = sorted(set().union(*layer.values()))
        with self._file.env.begin(write=True, db=self._file.records) as txn:
            if self._file.is_full(txn):
                raise lmdb.MapFullError("no more than what deleting needs is left")
            cursor = txn.cursor()
            held = self._file.cipher.open_many(cursor.getmulti(keys), skip=_EXPIRY)
            seal = self._file.cipher.seal
            cursor.putmulti(
                [(key, packed[record.LAST] + seal(key, packed)) for key, packed in _records(layer, keys, held, now)]
            )
        self._commits += 1
        self._commit_seconds += time.perf_counter() - began
        if not self._healthy:
            log.info("store %s: answers are kept again", self._file.path)
            self._healthy = True

    def _sweep(self) -> None:
        """Removes expired records among the next few; in time, this goes round the whole file."""
        now = int(self._clock())
        with self._file.env.begin(db=self._file.records) as txn:
            cursor = txn.cursor()
            more = cursor.set_range(self._swept_to)
            expired = []
            for _ in range(_SWEEP if more else 0):
                if _expiry(cursor.value()) <= now:
                    expired.append(cursor.key())
                if not (more := cursor.next()):
                    break
            self._swept_to = cursor.key() if more else b""
        if expired:
            with self._file.env.begin(write=True, db=self._file.records) as txn:
                for key in expired:  # unless another worker has just renewed it
                    if _expiry(txn.get(key, b"")) <= now:
                        txn.delete(key)

    def _drop_committing(self, reason: str) -> None:
        with self._lock:
            self._drop(sum(map(len, self._committing.values())), reason)

    def _drop(self, count: int, reason: str) -> None:
        if self._healthy:
            log.error("store %s: answers are not kept: %s; lookups go on without", self._file.path, reason)
        self._healthy = False
        self._dropped += count


def _expiry(value: bytes) -> int:
    return int.from_bytes(value[:_EXPIRY], "little")


def _institution_id(answers: tuple[bytes, dict[bytes, Fields]]) -> bytes:
    _, _, _, segment = next(iter(answers[1].values()))
    return wire.institution_of(segment)


def _records(
    layer: _Layer, keys: Sequence[bytes], held: Mapping[bytes, bytes | None], now: int
) -> Iterator[tuple[bytes, bytes]]:
    """Each key with its record, the layer's answers added to what is held."""
    by_institution = sorted(layer.items(), key=_institution_id)
    institutions = tuple(institution for institution, _ in by_institution)
    rows = zip(*[map(answers.get, keys) for _, answers in by_institution], strict=True)
    for key, row in zip(keys, rows, strict=True):
        existing = held.get(key)
        if existing is None and None not in row:  # nearly always: all institutions were asked together
            yield key, record.assemble(institutions, row)
        else:
            new = [Entry(name, *fields) for name, fields in zip(institutions, row, strict=True) if fields]
            yield key, record.merge(existing, new, now)


def _keep_newer(held: dict[bytes, Fields], answers: Iterable[tuple[bytes, Fields]]) -> None:
    """Adds answers, each unless a newer one is held."""
    for key, fields in answers:
        if key not in held or held[key][1] <= fields[1]:
            held[key] = fields
