"""Finds where a log ends, after it was closed, killed or torn: at its last whole commit.

What follows it was never acknowledged, and is removed. That is done only if a crash can have caused what is there. If
acknowledged entries are missing or changed, the log is not continued: a second continuation would be a fork.
"""

from typing import NamedTuple, NoReturn

from broker.audit.files import Files
from broker.audit.frames import JournalHead, count_commits, read_head
from broker.audit.journal import FOLDER, first_index, journal_path
from broker.audit.publication import CHECKPOINT, Unpublished, publish
from broker.audit.replay import JournalError, Replay
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.note import VerifierKey
from broker.audit.tlog.tiles import Resource, TileEdge
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


class _FileRead:
    """A journal file that was read. State: what it holds, up to its last commit."""

    def __init__(self, journal: bytes, key: VerifierKey) -> None:
        """Raises `JournalError`."""
        self._replay = Replay(journal, key)
        self.checkpoints = {self._replay.checkpoint}
        """All of them, signed."""
        self.whole: list[Resource] = []
        """Tiles that became whole."""
        self.commits = 0
        for commit, whole in self._replay.commits():
            self.checkpoints.add(commit.checkpoint)
            self.whole += whole
            self.commits += 1

    @property
    def end(self) -> int:
        """The offset after the last commit; 0 if there is none."""
        return self._replay.end if self.commits else 0

    def head(self) -> JournalHead:
        """From where the log is continued."""
        return self._replay.head()


class _Recovery:
    """State: the journal files that are left, by the index of their first entry."""

    def __init__(self, files: Files, key: VerifierKey) -> None:
        self._files = files
        self._key = key
        self._firsts = [first for name in files.names(FOLDER) if (first := first_index(name)) is not None]
        self._published = self._published_checkpoint()

    def run(self) -> Recovered:
        newest, cut = self._firsts[-1:], 0
        while self._firsts:
            path = journal_path(self._firsts[-1])
            journal = self._files.read(path) or b""
            read = self._try_to_read(journal)
            end = read.end if read else 0
            if end < len(journal) or not end:
                if self._firsts[-1:] != newest or count_commits(journal, end) > 1:
                    _refuse(f"{path} is damaged at byte {end}, and no crash can have done that")
                cut = len(journal) - end
                self._cut_off(path, end)
            if read and end:
                self._publish(read)
                return Recovered(read.head(), path, end, cut)
            self._firsts.pop()
        if self._published:
            _refuse("all entries are missing")
        return Recovered(JournalHead(self._key.name, TileEdge(), ""), "", 0, cut)

    def _try_to_read(self, journal: bytes) -> _FileRead | None:
        """The file as far as it is whole; None if its head is not even that. Raises `JournalError`."""
        return _FileRead(journal, self._key) if read_head(journal) else None

    def _cut_off(self, path: str, end: int) -> None:
        """Removes what follows the last commit. A file without any was just being begun, and goes."""
        if end:
            self._files.truncate(path, end)
        else:
            self._files.delete(path)

    def _publish(self, newest: _FileRead) -> None:
        """Publishes everything from the file on that has the published checkpoint."""
        size = parse_checkpoint(self._published)[0].size if self._published else 0
        begin = max([at for at, first in enumerate(self._firsts) if first <= size], default=0)
        seen = not self._published
        for first in self._firsts[begin:]:
            is_newest = first == self._firsts[-1]
            read = newest if is_newest else _FileRead(self._files.read(journal_path(first)) or b"", self._key)
            seen |= self._published in read.checkpoints
            if not seen:
                _refuse(f"the entries up to {size}, which were published, are not those of the journal")
            head = read.head()
            publish(self._files, Unpublished(read.whole, head.edge, head.checkpoint))

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
