"""The embedded store: one LMDB file, one writer thread in each worker, group commits.

A put goes into memory and returns. The writer works in rounds. In each it takes the subjects first put before the last
round, adds their answers to what is on disk, and commits all of it at once (store.log): by waiting a round, the answers
of a subject's institutions, which come within moments of each other, come together in one write. Reads see memory over
disk:

    put                → pending
    a round begins     → waiting becomes committing, pending becomes waiting, a new pending begins      (under the lock)
                       → committing absorbs what is waiting about its subjects; the rest goes on waiting
    it ends            → committing is let go of                                                        (under the lock)

and a reader takes hold of all three memtables before it begins to read the disk. Were it the other way round, a commit
between the two steps would hide its records from both. An answer seen twice, in two memtables, is the same answer.

Several workers share the file. What one of them has put is seen by the others when it is committed.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from broker.errors import StoreError, origin
from broker.store.base import Statements, StoreStatistics
from broker.store.fair_lock import FairLock
from broker.store.lmdb_check import DAMAGE
from broker.store.lmdb_file import StoreFile
from broker.store.log import Log
from broker.store.memtable import Memtable

log = logging.getLogger(__name__)

_COMMIT_PAUSE = 0.5  # s between rounds: institutions mostly answer within that, and a crash loses two rounds
_IDLE_PAUSE = 1.0  # s between sweeps when nothing is put
_READER_CHECK_PAUSE = 60.0  # s; a dead process's read transaction keeps pages from being reused until then
_PENDING_LIMIT = 2_000_000  # answers; about 1 GiB of memory. Beyond, the disk is too slow and answers are dropped


class LmdbStore:
    """A `Store` in an LMDB file.

    State: the memtables, the open file, and totals for `statistics`. `_lock` guards what the writer thread
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
        self._fair_lock = (
            FairLock()
        )  # at the file: to read it, to prepare a commit, to replace it; never taken under _lock
        self._log = Log(self._file, self._fair_lock)
        self._pending = Memtable()
        self._waiting = Memtable()
        self._committing = Memtable()
        self._begun = self._ended = 0  # rounds
        self._damage: lmdb.Error | None = None
        self._reported: set[str] = set()  # origins of errors
        self._closing = False
        self._flushing = False
        self._hits = self._misses = self._commits = self._dropped = 0
        self._commit_seconds = 0.0
        self._healthy = True
        self._catch_up()
        self._writer = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._writer.start()

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        with self._lock:
            memtables = (self._committing, self._waiting, self._pending)
        records = self._read(keys)
        for memtable in memtables:
            if memtable:
                memtable.lay_over(records, keys, int(self._clock()))
        misses = records.count(None)
        self._hits += len(records) - misses
        self._misses += misses
        return records

    def put_many(self, statements: Statements) -> None:
        """See `Store`."""
        count = len(statements.keys)
        if not count:
            return
        with self._lock:
            if self._waiting.size + self._pending.size + count > _PENDING_LIMIT:
                self._drop(count, "the disk does not keep up")
                return
            if not self._pending:
                self._wake.notify_all()
            self._pending.put(statements)

    def flush(self) -> None:
        """See `Store`."""
        with self._lock:
            self._flushing = True
            self._wake.notify()
            enough = self._begun + 2  # what is pending now waits for one round
            self._wake.wait_for(lambda: self._is_empty() or self._ended >= enough)
            self._flushing = False

    def statistics(self) -> StoreStatistics:
        """See `Store`."""
        with self._lock:
            pending = len({*self._waiting.subjects(), *self._pending.subjects()})
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
            damaged=self._log.damaged,
            healthy=self._healthy,
        )

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            self._closing = True
            self._wake.notify()
        self._writer.join()
        self._file.close()

    def _catch_up(self) -> None:
        """Begins with a whole index. Only after the machine was restarted does that mean reading all of the log."""
        try:
            with self._file.exclusive():
                self._log.catch_up()
        except Exception as error:  # noqa: BLE001 - the writer will try again
            self._report(error)

    def _measure(self) -> tuple[int, int]:
        """Records and bytes used; nothing while they cannot be read."""
        try:
            with self._fair_lock, self._file.env.begin():
                return self._file.index.subjects, self._file.bytes_used()
        except Exception:  # noqa: BLE001 - a metric is no reason to end a worker; whoever reads reports the error
            return 0, 0

    def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._fair_lock:
            try:
                return self._log.read(keys)
            except Exception as error:  # noqa: BLE001 - a read is a miss, never an exception
                self._report(error)  # within the turn: later, it could be taken for that of the new file
                return [None] * len(keys)

    def _report(self, error: Exception) -> None:
        """Has the writer set a damaged file aside. Of other errors, each origin is logged once.

        The writer looks after the index in its next round, and until then it may say the same many times.
        """
        if isinstance(error, DAMAGE):
            with self._lock:
                self._damage = error
                self._wake.notify()
        elif self._file.is_open and origin(error) not in self._reported:
            self._reported.add(origin(error))
            log.error("store %s cannot be read: %s; lookups go on without", self._file.path, _describe(error))

    # The writer thread.

    def _write(self) -> None:
        checked = time.monotonic()
        while self._take():
            try:
                self._mend()
                self._gather()
                with self._file.exclusive():
                    self._work_on_file()
                if time.monotonic() - checked > _READER_CHECK_PAUSE:
                    self._file.env.reader_check()
                    checked = time.monotonic()
            except lmdb.MapFullError:
                self._drop_committing("the store is full; raise store.map_size, or shorten lifetimes")
            except StoreError as error:
                self._drop_committing(str(error))
            except (lmdb.Error, OSError) as error:
                self._drop_committing(f"writing failed: {_describe(error)}")
                if isinstance(error, lmdb.CorruptedError):
                    self._damage = error
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be kept, and flush never end
                self._drop_committing(f"writing failed: {_describe(error)}")
            finally:
                with self._lock:
                    self._committing = Memtable()
                    self._ended += 1
                    self._wake.notify_all()

    def _take(self) -> bool:
        """Waits for something to do and begins a round. False when all is done and the store closes."""
        with self._lock:
            self._wake.wait_for(lambda: self._flushing or self._closing, timeout=_COMMIT_PAUSE)
            self._wake.wait_for(
                lambda: not self._is_empty() or self._closing or self._damage, timeout=_IDLE_PAUSE - _COMMIT_PAUSE
            )
            if self._closing and self._is_empty():
                return False
            self._committing, self._waiting, self._pending = self._waiting, self._pending, Memtable()
            self._begun += 1
            return True

    def _is_empty(self) -> bool:
        return not (self._pending or self._waiting or self._committing)

    def _gather(self) -> None:
        rest = self._committing.absorb(self._waiting)
        with self._lock:
            self._waiting = rest

    def _mend(self) -> None:
        """Begins a new file in place of a damaged one. What fails of that is tried again in the next round."""
        if self._file.is_open and self._file.is_current() and not self._damage:
            return
        with self._fair_lock:
            if self._damage:
                self._file.set_aside(self._damage)
                self._damage = None
            self._file.open()
            self._reported.clear()

    def _work_on_file(self) -> None:
        now = int(self._clock())
        if self._log.catch_up():
            self._reported.clear()
        self._log.sweep(now)  # comes first: it makes room
        if not self._committing:
            return
        began = time.perf_counter()
        self._log.commit(self._committing, now)
        self._commits += 1
        self._commit_seconds += time.perf_counter() - began
        if not self._healthy:
            log.info("store %s: answers are kept again", self._file.path)
            self._healthy = True

    def _drop_committing(self, reason: str) -> None:
        with self._lock:
            self._drop(self._committing.size, reason)

    def _drop(self, count: int, reason: str) -> None:
        if self._healthy:
            log.error("store %s: answers are not kept: %s; lookups go on without", self._file.path, reason)
        self._healthy = False
        self._dropped += count


def _describe(error: Exception) -> str:
    """What went wrong. The text of an error nobody foresaw could hold what it stumbled over."""
    if isinstance(error, lmdb.Error):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)} ({origin(error)})"
    return origin(error)
