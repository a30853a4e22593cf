"""The current file of a store: read by any thread, written and replaced by the writer thread.

Any error while reading is a miss. The writer sets a damaged file aside and opens a new one; until then there is no log,
and all reads are misses.

Two locks, always taken in this order: the folder's (store.folder), which is waited for at length, and the fair lock
between this worker's threads, for which a reader never waits longer than one step of the writer.
"""

import logging
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lmdb

from broker.errors import StoreError, origin
from broker.store.base import ProgressCallback, no_progress
from broker.store.fair_lock import FairLock
from broker.store.folder import LONGEST_PAUSE, PATIENCE, LockWait
from broker.store.lmdb_check import DAMAGE
from broker.store.lmdb_file import StoreFile
from broker.store.log import Log
from broker.store.memtable import FrozenMemtable

log = logging.getLogger(__name__)

_READER_CHECK_PAUSE = 60.0  # s; a dead process's read transaction keeps pages from being reused until then
GAP = 2 * LONGEST_PAUSE  # s between two rounds that follow one another: time for others to take the folder's lock


class Disk:
    """State: the file, and its log while it can be used; the damage found in it; the origins of errors logged."""

    def __init__(
        self, path: Path, *, master_keys: Sequence[bytes], map_size: int, progress: ProgressCallback = no_progress
    ) -> None:
        """Opens the cache in folder `path`, or begins a new one. Raises `StoreError`.

        `progress` is called while that goes on.
        """
        self._path = path
        self._open = partial(StoreFile, path, master_keys=master_keys, map_size=map_size)
        self._fair_lock = FairLock()
        self._file: StoreFile | None = self._open(progress=progress)
        self._log: Log | None = Log(self._file, self._fair_lock)
        self._damage: Exception | None = None
        self._damaged = 0  # records of files before this one
        self._reported: set[str] = set()
        self._checked = time.monotonic()
        self._catch_up(progress)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The records of these subjects; None where there is none, or none that can be read."""
        with self._fair_lock:
            if self._log is not None:
                try:
                    return self._log.read(keys)
                except Exception as error:  # noqa: BLE001 - a read is a miss, never an exception
                    self.report(error)  # with the lock held: later, it could be taken for that of a new file
            return [None] * len(keys)

    def measure(self) -> tuple[int, int]:
        """Records held and bytes used; zeros while that cannot be determined."""
        with self._fair_lock:
            if self._log is not None and self._file is not None:
                try:
                    with self._file.env.begin():
                        return self._file.index.subjects, self._file.bytes_used()
                except Exception as error:  # noqa: BLE001 - a metric must not end a worker
                    self.report(error)
            return 0, 0

    @property
    def damaged(self) -> int:
        """Records that could not be read back."""
        log_ = self._log
        return self._damaged + (log_.damaged if log_ is not None else 0)

    @property
    def older_key_reads(self) -> int:
        """Records of the present file that an older key has opened."""
        file = self._file
        return file.cipher.older if file is not None else 0

    def report(self, error: Exception) -> None:
        """Makes the writer set a damaged file aside. Of other errors, each origin is logged once.

        The writer repairs the index in its next round; until then, many reads may fail for the same reason.
        """
        if isinstance(error, DAMAGE):
            self._damage = error
        elif origin(error) not in self._reported:
            self._reported.add(origin(error))
            log.error("store %s cannot be read: %s; lookups go on without", self._path, describe(error))

    # For the writer thread.

    def work(self, memtable: FrozenMemtable | None, now: int, *, pause: LockWait) -> float | None:
        """One round: makes sure that there is a file, compacts the log, adds a memtable's answers.

        Returns the seconds that adding took; None if the index is still catching up with the log: try again. Raises
        `LockedError`, `StoreError`, `lmdb.MapFullError` if there is no room, and any other error of the file.
        """
        file, log_ = self._mend(pause)
        try:
            with file.folder.exclusive(patience=PATIENCE, pause=pause):
                if not log_.catch_up():
                    return None
                log_.compact(now)  # comes first: it makes room
                began = time.perf_counter()
                if memtable is not None:
                    log_.commit(memtable, now)
                seconds = time.perf_counter() - began
        except DAMAGE as error:
            self._damage = error
            raise
        if time.monotonic() - self._checked > _READER_CHECK_PAUSE:
            file.env.reader_check()
            self._checked = time.monotonic()
        return seconds

    def close(self) -> None:
        """Closes the file."""
        with self._fair_lock:
            self._let_go()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _catch_up(self, progress: ProgressCallback) -> None:
        """Completes the index. All of the log is read only if the machine was restarted since it was written."""
        file, log_ = self._file, self._log
        try:
            while file is not None and log_ is not None:
                with file.folder.exclusive(patience=PATIENCE):
                    if log_.catch_up(progress):
                        return
                time.sleep(GAP)
        except Exception as error:  # noqa: BLE001 - the writer will try again
            self.report(error)

    def _mend(self, pause: LockWait) -> tuple[StoreFile, Log]:
        """The file and its log. Replaces a file that is damaged, or was moved away, by a new one."""
        file, log_ = self._file, self._log
        if file is not None and log_ is not None and not self._damage and file.folder.is_current():
            return file, log_
        with self._fair_lock:
            self._let_go()
        if file is not None:
            if self._damage:
                self._set_aside(file, self._damage, pause)
                self._damage = None
            file.close()
            self._file = None
        self._file = file = self._open(pause=pause)
        log_ = Log(file, self._fair_lock)
        with self._fair_lock:
            self._log = log_
            self._reported.clear()
        return file, log_

    def _let_go(self) -> None:
        if self._log is not None:
            self._damaged += self._log.damaged
            self._log = None
        if self._file is not None:
            self._file.close_file()

    def _set_aside(self, file: StoreFile, damage: Exception, pause: LockWait) -> None:
        try:
            with file.folder.exclusive(patience=PATIENCE, pause=pause):
                file.folder.set_aside(damage)
        except OSError as error:
            msg = f"store {self._path}: {error}; check that the folder is writable and has room"
            raise StoreError(msg) from error


def describe(error: Exception) -> str:
    """What went wrong, for the log. The text of an unforeseen error is left out: it could contain a subject's data."""
    if isinstance(error, lmdb.Error):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return f"{os.strerror(error.errno)} ({origin(error)})"
    return origin(error)
