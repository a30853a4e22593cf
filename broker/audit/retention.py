"""Deletes entries that are older than the declared retention. Hashes and checkpoints stay, so that proofs stay valid.

Once a day the journal goes on in a new file, and files of which every entry is too old are deleted, with the bundles
that have no other entries. An entry says so before anything is deleted. If the deletion is broken off, it is begun
anew, with another such entry: bundles go first, so that the journal tells what is left to do.
"""

import logging
import threading
from collections.abc import Callable

from broker.audit.entry import Deleted, read_entry
from broker.audit.files import Files
from broker.audit.frames import FrameKind, read_commits, read_head
from broker.audit.journal import FOLDER, first_index, journal_path
from broker.audit.tlog.tiles import WIDTH, bundle_path
from broker.errors import AuditError

log = logging.getLogger(__name__)

_DAY = 86_400  # s


class Retention:
    """Deletes what is too old: at the start, and then once a day, in a thread of its own. State: whether to end."""

    def __init__(
        self,
        files: Files,
        days: int,
        *,
        record: Callable[[Deleted], object],
        rotate: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`record` records an entry, and returns when it is durable. `rotate` has the journal go on in a new file."""
        self._files = files
        self._days = days
        self._record = record
        self._rotate = rotate
        self._clock = clock
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-retention", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def close(self) -> None:
        """Ends, after what is being deleted."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self.delete_old()
            except AuditError as error:
                log.error("audit log: old entries are not deleted: %s", error)
            except OSError as error:
                log.error("audit log: old entries are not deleted: %s", error.strerror)
            if self._ending.wait(_DAY):
                return

    def delete_old(self) -> int:
        """Deletes what is too old. Returns the index of the first entry that is kept.

        Raises `OSError`, `AuditError`.
        """
        firsts = [first for name in self._files.names(FOLDER) if (first := first_index(name)) is not None]
        if not firsts:
            return 0
        oldest, kept = firsts[0], self._first_kept(firsts)
        if kept > oldest:
            self._record(Deleted(before=kept, days=self._days))
            for bundle in range(oldest // WIDTH, kept // WIDTH):
                self._files.delete(bundle_path(bundle))
            for first in firsts[: firsts.index(kept)]:
                self._files.delete(journal_path(first))
        if self._times(firsts[-1])[0] < self._days_ago(1):
            self._rotate()
        return kept

    def _first_kept(self, firsts: list[int]) -> int:
        """The first journal file that has an entry which is not too old; at least the newest one."""
        limit = self._days_ago(self._days)
        return next((first for first in firsts[:-1] if self._times(first)[1] >= limit), firsts[-1])

    def _days_ago(self, days: int) -> float:
        """Milliseconds since the epoch."""
        return (self._clock() - days * _DAY) * 1000

    def _times(self, first: int) -> tuple[int, int]:
        """The earliest and the latest time in a journal file, milliseconds since the epoch."""
        journal = self._files.read(journal_path(first)) or b""
        head = read_head(journal)
        commits = read_commits(journal, head[1]) if head else iter(())
        times = [
            read_entry(frame.content).time
            for commit in commits
            for frame in (commit.frames[-1],)  # all entries of a commit have the same time
            if frame.kind is FrameKind.ENTRY
        ]
        return (min(times), max(times)) if times else (0, 0)
