"""The writer of a store: a thread that commits what was put, in rounds.

Each round writes the oldest waiting memtable (store.memtables), so the number of subjects in a round is bounded,
however much was put meanwhile. A reader takes references to all memtables before it reads the disk. In the other order,
a commit between the two steps would hide its records from both. An answer may be found twice, in memory and on disk;
the merge of the two is the same answer.

Answers that cannot be written because another process holds the folder's lock wait, up to a limit; answers that cannot
be written for any other reason are dropped. Either is logged when it begins, and shown by the statistics until a commit
succeeds.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lmdb

from broker.errors import StoreError
from broker.store.base import Statements
from broker.store.disk import GAP, Disk, describe
from broker.store.folder import LockedError
from broker.store.memtable import FrozenMemtable
from broker.store.memtables import Memtables

log = logging.getLogger(__name__)

_COMMIT_PAUSE = 0.5  # s between rounds: institutions mostly answer within that, and a crash loses two rounds
_IDLE_PAUSE = 1.0  # s between rounds when nothing is put: compaction alone
_PENDING_LIMIT = 2_000_000  # answers; about 1 GiB of memory. Beyond, the disk is too slow and answers are dropped


@dataclass(slots=True)
class WriterTotals:
    """Since the start."""

    commits: int = 0
    commit_seconds: float = 0.0
    dropped: int = 0
    """Answers."""
    failures: int = 0
    """Rounds that committed nothing, and puts that were dropped."""
    healthy: bool = True


class StoreWriter:
    """State: the memtables, whether to hurry, when to give up, and totals. `_wake` guards all of it."""

    def __init__(self, disk: Disk, path: Path, clock: Callable[[], float]) -> None:
        self._disk = disk
        self._path = path
        self._clock = clock
        self._memtables = Memtables()
        self._wake = threading.Condition()
        self._flushing = False
        self._deadline: float | None = None
        self._ended = False
        self.totals = WriterTotals()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, statements: Statements) -> None:
        """Takes answers, to be written later; drops them if too many wait already."""
        with self._wake:
            if self._memtables.answers + len(statements.keys) > _PENDING_LIMIT:
                self._drop(len(statements.keys), "the disk does not keep up")
                return
            is_first = not self._memtables.answers
            self._memtables.put(statements, int(self._clock()))
            if is_first or self._memtables.backlog > 1:
                self._wake.notify_all()

    def memtables(self) -> list[FrozenMemtable]:
        """All answers that may not be on disk yet, the oldest first."""
        with self._wake:
            return self._memtables.all()

    def pending(self) -> int:
        """Subjects of whom answers are not committed."""
        with self._wake:
            return self._memtables.subjects

    def flush(self) -> bool:
        """See `Store`."""
        with self._wake:
            self._memtables.rotate()
            target, failures = self._memtables.rotated, self.totals.failures
            self._flushing = True
            self._wake.notify_all()
            self._wake.wait_for(
                lambda: self._memtables.settled >= target or self.totals.failures > failures or self._ended
            )
            self._flushing = False
            return self._memtables.settled >= target and self.totals.failures == failures

    def close(self, timeout: float) -> None:
        """See `Store`."""
        with self._wake:
            self._deadline = time.monotonic() + timeout
            self._memtables.rotate()
            self._wake.notify_all()
        self._thread.join(timeout)
        with self._wake:
            left = self._memtables.answers
        if left:
            log.error("store %s: closed with %d answers not committed after %g s", self._path, left, timeout)

    # The thread.

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._round()
        finally:
            self._disk.close()
            with self._wake:
                self._ended = True
                self._wake.notify_all()

    def _wait_for_work(self) -> bool:
        """False when the store closes and all is done, or time is up."""
        with self._wake:
            if self._memtables.backlog > 1:
                self._wake.wait_for(self._is_closing, timeout=GAP)
            else:
                self._wake.wait_for(lambda: self._flushing or self._is_closing(), timeout=_COMMIT_PAUSE)
                self._wake.wait_for(
                    lambda: self._memtables.answers or self._is_closing(), timeout=_IDLE_PAUSE - _COMMIT_PAUSE
                )
            return not self._is_closing() or bool(self._memtables.answers and not self._is_late())

    def _is_closing(self) -> bool:
        return self._deadline is not None

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _pause(self, seconds: float) -> bool:
        """Waits for the folder's lock. True when it is time to give up."""
        with self._wake:
            if self._deadline is not None:
                seconds = min(seconds, max(0.0, self._deadline - time.monotonic()))
            return self._wake.wait_for(self._is_late, timeout=seconds)

    def _round(self) -> None:
        try:
            memtable = self._begin()
            seconds = self._disk.work(memtable, int(self._clock()), pause=self._pause)
        except LockedError as error:
            self._fail(str(error), is_settled=False)
        except lmdb.MapFullError:
            self._fail("the store is full; raise store.map_size, or shorten lifetimes")
        except StoreError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - without this thread nothing would be kept, and flush never end
            self._fail(f"writing failed: {describe(error)}")
        else:
            if memtable is not None and seconds is not None:
                self._succeed(seconds)
            self._end(is_settled=seconds is not None)

    def _begin(self) -> FrozenMemtable | None:
        """Begins a round. Returns what is to be committed."""
        with self._wake:
            waiting = self._memtables.begin(hurry=self._flushing or self._is_closing())
            committing = self._memtables.committing
        if committing is None or not waiting:
            return committing
        committing, rests = committing.absorb(waiting, int(self._clock()))  # takes long: without the lock
        with self._wake:
            self._memtables.absorb(committing, rests)
        return committing

    def _succeed(self, seconds: float) -> None:
        self.totals.commits += 1
        self.totals.commit_seconds += seconds
        if not self.totals.healthy:
            log.info("store %s: answers are kept again", self._path)
            self.totals.healthy = True

    def _fail(self, reason: str, *, is_settled: bool = True) -> None:
        """Ends a round that committed nothing: what it had is dropped, or goes on waiting."""
        with self._wake:
            if (memtable := self._memtables.committing) is not None:
                if is_settled:
                    self._drop(memtable.size, reason)
                else:
                    self._complain(f"answers wait to be kept: {reason}")
        self._end(is_settled=is_settled)

    def _end(self, *, is_settled: bool = True) -> None:
        with self._wake:
            if is_settled:
                self._memtables.settle()
            else:
                self._memtables.put_back()
            self._wake.notify_all()

    def _drop(self, count: int, reason: str) -> None:
        self._complain(f"answers are not kept: {reason}")
        self.totals.dropped += count

    def _complain(self, what: str) -> None:
        if self.totals.healthy:
            log.error("store %s: %s; lookups go on without", self._path, what)
        self.totals.healthy = False
        self.totals.failures += 1
