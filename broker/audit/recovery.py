"""Finds where a log ends, after it was closed, killed or torn: at its last whole commit.

What follows it was never acknowledged, and is removed. That is done only if a crash can have caused what is there. If
acknowledged entries are missing or changed, the log is not continued: a second continuation would be a fork.
"""

from typing import NamedTuple, NoReturn

from broker.audit.files import Files
from broker.audit.frames import JournalHead, count_commits
from broker.audit.journal import FOLDER, first_index, journal_path
from broker.audit.publication import CHECKPOINT, Unpublished, publish
from broker.audit.replay import JournalError, Replay
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.note import VerifierKey
from broker.audit.tlog.tiles import TileEdge
from broker.errors import AuditError

_REMEDY = "restore its folder from a copy, or choose another audit.path and audit.origin to begin a new log"


class Recovered(NamedTuple):
    """Where a log is continued."""

    head: JournalHead
    path: str
    """Of the journal file to append to; empty if there is none."""
    end: int
    """Its size."""
    cut: int
    """Bytes that were removed."""


def recover(files: Files, key: VerifierKey) -> Recovered:
    """Where the log of this key's name ends. Removes what was never acknowledged, and publishes what is not yet.

    Raises `AuditError` if the log must not be continued, `OSError` if its files cannot be read or written.
    """
    try:
        return _Recovery(files, key).run()
    except JournalError as fault:
        _refuse(str(fault))


class _Recovery:
    """State: the journal files that are left, by the index of their first entry, and the bytes that were cut."""

    def __init__(self, files: Files, key: VerifierKey) -> None:
        self._files = files
        self._key = key
        self._firsts = [first for name in files.names(FOLDER) if (first := first_index(name)) is not None]
        self._cut = 0
        self._published = self._published_checkpoint()

    def run(self) -> Recovered:
        while self._firsts:
            path = journal_path(self._firsts[-1])
            journal = self._files.read(path) or b""
            end = self._end_of(journal)
            if end < len(journal):
                self._cut_off(path, journal, end)
            if end:
                return self._publish(path, end)
            self._firsts.pop()
        if self._published:
            _refuse("all entries are missing")
        return Recovered(JournalHead(self._key.name, TileEdge(), ""), "", 0, self._cut)

    def _end_of(self, journal: bytes) -> int:
        """The offset after the last commit of a file; 0 if it has none."""
        try:
            replay = Replay(journal, self._key)
        except JournalError:
            return 0
        begin = replay.end
        for _ in replay.commits():
            pass
        return replay.end if replay.end > begin else 0

    def _cut_off(self, path: str, journal: bytes, end: int) -> None:
        """Removes what follows the last commit. A file that has none was being begun, and goes."""
        if count_commits(journal, end) > 1 or self._cut:
            _refuse(f"{path} is damaged at byte {end}, and no crash can have done that")
        self._cut += len(journal) - end
        if end:
            self._files.truncate(path, end)
        else:
            self._files.delete(path)

    def _publish(self, path: str, end: int) -> Recovered:
        """Publishes everything from the file on that has the published checkpoint."""
        size = parse_checkpoint(self._published)[0].size if self._published else 0
        begin = max([at for at, first in enumerate(self._firsts) if first <= size], default=0)
        seen = not self._published
        for first in self._firsts[begin:]:
            replay = Replay(self._files.read(journal_path(first)) or b"", self._key)
            seen |= replay.checkpoint == self._published
            whole = []
            for commit, tiles in replay.commits():
                whole += tiles
                seen |= commit.checkpoint == self._published
            if not seen:
                _refuse(f"the entries up to {size}, which were published, are not those of the journal")
            publish(self._files, Unpublished(whole, replay.head().edge, replay.checkpoint))
        return Recovered(replay.head(), path, end, self._cut)

    def _published_checkpoint(self) -> str:
        """The published checkpoint; empty if there is none, or none of this log."""
        text = (self._files.read(CHECKPOINT) or b"").decode("utf-8", "replace")
        try:
            _, note = parse_checkpoint(text)
        except ValueError:
            return ""
        return text if self._key.verifies(note) else ""


def _refuse(reason: str) -> NoReturn:
    msg = f"the audit log is not continued: {reason}; {_REMEDY}"
    raise AuditError(msg)
