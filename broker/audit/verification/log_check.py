"""Verifies one log: from the bytes of its entries over every hash to what is signed, and against what others kept.

The journal is read file by file. Its entries grow a tree, whose root has to be the signed one at the end of each file,
at the published size, and at each size that somebody kept a checkpoint of. Tiles that follow from the journal have to
be those that are published. A failed check ends the reading of the journal: what follows would be wrong as well.
"""

from collections.abc import Callable
from itertools import zip_longest
from typing import NoReturn

from broker.audit.entry import read_entry
from broker.audit.frames import count_commits
from broker.audit.journal import FOLDER, first_index, journal_path
from broker.audit.tlog.checkpoint import Checkpoint, parse_checkpoint
from broker.audit.tlog.hashing import root_of
from broker.audit.verification.content_check import MaterialCheck
from broker.audit.verification.expectations import Expectations, LogKeys, read_checkpoint
from broker.audit.verification.faults import FaultKind, difference
from broker.audit.verification.folder import LogFolder
from broker.audit.verification.growth import GrowingTree
from broker.audit.verification.journal_content import JournalContent, first_false_commit, read_content, readable_leaves
from broker.audit.verification.report import BrokenLogError, LogReport
from broker.audit.verification.sequence import SequenceCheck


class LogCheck:
    """State: the tree grown so far, the present place in the journal, and what was found out."""

    def __init__(
        self,
        folder: LogFolder,
        keys: LogKeys,
        expected: Expectations,
        material: MaterialCheck,
        *,
        advance: Callable[[int], None] = lambda _: None,
        is_thorough: bool = False,
    ) -> None:
        """`advance` is told how many bytes of the journal were read. `is_thorough`: looks at every commit."""
        self._folder = folder
        self._keys = keys
        self._material = material
        self._advance = advance
        self._report = LogReport(str(folder.path))
        self._published = self._read_published()
        self._tree = GrowingTree(folder, self._published, expected, self._report)
        self._sequence = SequenceCheck()
        self._is_thorough = is_thorough
        self._next_first: int | None = None
        """Of the journal file after the present one."""
        self._last_checkpoint = ""

    def run(self) -> LogReport:
        """Verifies the log."""
        firsts = [first for name in self._folder.names(FOLDER) if (first := first_index(name)) is not None]
        try:
            for first, following in zip_longest(firsts, firsts[1:]):
                self._next_first = following
                self._read_file(first, is_first=first == firsts[0])
            self._check_end(firsts[0] if firsts else 0)
        except BrokenLogError:
            pass
        self._report.size = self._tree.size
        self._report.counts = self._sequence.end()
        return self._report

    # What is published.

    def _read_published(self) -> Checkpoint | None:
        try:
            found = read_checkpoint(self._folder)
        except ValueError as error:
            self._report.note(FaultKind.CHANGED, None, f"the published checkpoint {error}")
            return None
        if found is None:
            self._report.note(FaultKind.REMOVED, None, "there is no published checkpoint")
            return None
        checkpoint, note = found
        self._report.log = checkpoint.origin
        if not self._keys.verifies(checkpoint, note):
            self._report.note(
                FaultKind.UNSIGNED, None, "the published checkpoint is not signed with the key of the log"
            )
        return checkpoint

    # The journal.

    def _read_file(self, first: int, *, is_first: bool) -> None:
        path = journal_path(first)
        journal = self._folder.read(path) or b""
        content = read_content(journal)
        if content is None:
            if not self._may_be_torn(journal, 0):
                kind = FaultKind.CHANGED if self._next_first or count_commits(journal, 0) else FaultKind.TRUNCATED
                self._report.stop(kind, first, f"{path} has no head")
            self._report.unfinished = len(journal)
            return
        self._check_head(content, is_first=is_first)
        if not self._tree.extend(content.leaves, content.entries):
            self._locate(journal, content)
        self._check_signed(journal, content)
        if content.end < len(journal):
            if not self._may_be_torn(journal, content.end):
                self._locate(journal, content)
            self._report.unfinished = len(journal) - content.end
        self._check_entries(content)
        self._advance(len(journal))

    def _may_be_torn(self, journal: bytes, end: int) -> bool:
        """Whether a crash, or a write in progress, can be why a file is not whole after an offset."""
        is_long_enough = self._published is None or self._tree.size >= self._published.size
        return self._next_first is None and is_long_enough and count_commits(journal, end) <= 1

    def _check_head(self, content: JournalContent, *, is_first: bool) -> None:
        """Whether a file goes on where the one before it has ended."""
        edge = content.head.edge
        if self._published is None:
            self._report.log = content.head.origin
        try:
            tree = edge.right_edge()
        except ValueError as error:
            self._report.stop(FaultKind.CHANGED, edge.size, f"the head of a journal file: {error}")
        if edge.size > self._tree.size and not is_first:
            self._report.stop(
                FaultKind.REMOVED, self._tree.size, f"the entries up to {edge.size} are missing in the journal"
            )
        if is_first and edge.size:
            self._take_up(content)
        if content.head.checkpoint != self._last_checkpoint:
            self._report.stop(FaultKind.CHANGED, edge.size, "the head of a journal file has another checkpoint")
        if (tree.size, tree.root()) != self._tree.checkpoint()[1:]:
            self._report.stop(FaultKind.CHANGED, edge.size, "the head of a journal file does not continue the log")

    def _take_up(self, content: JournalContent) -> None:
        """Begins after entries that were deleted."""
        edge = content.head.edge
        self._tree.take_up(edge)
        self._sequence.kept_from = edge.size
        self._last_checkpoint = content.head.checkpoint
        if not self._check_checkpoint(content.head.checkpoint, edge.size):
            self._report.stop(FaultKind.CHANGED, edge.size, "the head of a journal file contradicts its checkpoint")

    def _check_signed(self, journal: bytes, content: JournalContent) -> None:
        if content.checkpoint and not self._check_checkpoint(content.checkpoint, self._tree.size):
            self._locate(journal, content)
        self._last_checkpoint = content.checkpoint or self._last_checkpoint
        if self._is_thorough:
            self._check_commits(journal)

    def _check_commits(self, journal: bytes) -> None:
        """Notes the first commit whose checkpoint is not signed, or commits to something else."""
        if false := first_false_commit(journal, self._keys):
            self._report.note(*false)

    def _check_checkpoint(self, signed: str, size: int) -> bool:
        """Whether a checkpoint in the journal commits to the tree. Who signed it is noted."""
        try:
            checkpoint, note = parse_checkpoint(signed)
        except ValueError as error:
            self._report.note(FaultKind.CHANGED, size, f"a checkpoint in the journal {error}")
            return False
        if not self._keys.verifies(checkpoint, note):
            self._report.note(
                FaultKind.UNSIGNED, size - 1, "a checkpoint in the journal is not signed with the key of the log"
            )
        return checkpoint == self._tree.checkpoint()

    def _locate(self, journal: bytes, content: JournalContent) -> NoReturn:
        """Notes which entry is the first that is not as it was signed, and ends the reading."""
        first = content.head.edge.size
        signed = self._signed_leaves()[first : self._next_first]
        if found := difference(signed, readable_leaves(journal)):
            kind, at = found
            self._report.stop(kind, first + at, "the journal is not what was signed")
        if false := first_false_commit(journal):
            self._report.stop(*false)
        kind = FaultKind.CHANGED if count_commits(journal, content.end) else FaultKind.TRUNCATED
        self._report.stop(kind, first + len(content.leaves), f"the journal is not whole after byte {content.end}")

    def _signed_leaves(self) -> list[bytes]:
        """The hashes of entries according to the tiles, if these are what is signed."""
        if self._published is None:
            return []
        leaves = self._folder.leaves(self._published.size)
        return leaves if root_of(leaves) == self._published.root else []

    def _check_entries(self, content: JournalContent) -> None:
        first = content.head.edge.size
        for index, (encoded, blob) in enumerate(zip(content.entries, content.material, strict=True), start=first):
            try:
                entry = read_entry(encoded)
            except ValueError as error:
                self._report.note(FaultKind.SEQUENCE, index, str(error))
                continue
            if fault := self._sequence.take(index, entry):
                self._report.note(fault[0], index, fault[1])
            if detail := self._material.find_fault(index, entry, blob):
                self._report.note(FaultKind.MATERIAL, index, detail)

    def _check_end(self, first: int) -> None:
        self._tree.end()
        if self._sequence.deleted_before < first:
            detail = f"no entry tells of the deletion of those before {first}"
            self._report.note(FaultKind.REMOVED, self._sequence.deleted_before, detail)
