"""Reads a journal file again: from its head through its commits, with everything checked on the way."""

from collections.abc import Iterator

from broker.audit.frames import FrameKind, JournalCommit, JournalHead, read_commits, read_head
from broker.audit.tlog.checkpoint import Checkpoint, parse_checkpoint
from broker.audit.tlog.note import VerifierKey
from broker.audit.tlog.tiles import Resource, Tiles


class JournalError(Exception):
    """A journal contradicts itself, or was not written by the log's owner. The message says how."""


class Replay:
    """A journal file being read. State: the log up to the last commit that was read."""

    def __init__(self, journal: bytes, key: VerifierKey) -> None:
        """Raises `JournalError` if the file has no head that fits its own checkpoint."""
        found = read_head(journal)
        if found is None:
            raise JournalError("the file has no head")
        head, self.end = found
        """The offset after the last commit that was read."""
        self._journal = journal
        self._key = key
        self._origin = head.origin
        if head.origin != key.name:
            msg = f"it is the log {head.origin}, not {key.name}"
            raise JournalError(msg)
        try:
            self._tree = head.edge.right_edge()
        except ValueError as error:
            raise JournalError(str(error)) from None
        self._tiles = Tiles(head.edge)
        self.checkpoint = head.checkpoint
        """The signed one of the last commit; empty at the beginning of a log."""
        if head.checkpoint or head.edge.size:
            self._check(head.checkpoint)

    @property
    def size(self) -> int:
        """Entries of the log so far."""
        return self._tree.size

    def head(self) -> JournalHead:
        """From where the log can be continued."""
        return JournalHead(self._origin, self._tiles.edge(), self.checkpoint)

    def commits(self) -> Iterator[tuple[JournalCommit, list[Resource]]]:
        """The commits that are whole, each with the tiles that became whole with it. Raises `JournalError`."""
        for commit in read_commits(self._journal, self.end):
            entries = [frame for frame in commit.frames if frame.kind is FrameKind.ENTRY]
            added = self._tree.extend([entry.hash for entry in entries])
            whole = self._tiles.extend(added, [entry.content for entry in entries])
            self._check(commit.checkpoint)
            self.checkpoint, self.end = commit.checkpoint, commit.end
            yield commit, whole

    def _check(self, signed: str) -> None:
        try:
            checkpoint, note = parse_checkpoint(signed)
        except ValueError as error:
            msg = f"a checkpoint {error}"
            raise JournalError(msg) from None
        if checkpoint != Checkpoint(self._origin, self._tree.size, self._tree.root()):
            raise JournalError("entries are not those that the checkpoint commits to")
        if not self._key.verifies(note):
            raise JournalError("a checkpoint is not signed with the log's key")
