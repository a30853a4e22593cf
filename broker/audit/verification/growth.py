"""Grows the tree of a log from its entries, and compares it on the way with all that it has to agree with.

These are the published root and tiles, and the roots and entries that others kept.
"""

from broker.audit.tlog.checkpoint import Checkpoint
from broker.audit.tlog.right_edge import RightEdge
from broker.audit.tlog.tiles import TileEdge, Tiles
from broker.audit.verification.expectations import Expectations
from broker.audit.verification.faults import FaultKind
from broker.audit.verification.folder import LogFolder
from broker.audit.verification.report import LogReport
from broker.audit.verification.tile_check import find_old_tile_fault, find_partial_fault, find_tile_fault


class GrowingTree:
    """State: the tree so far, and its partial tiles. What is wrong is noted in the report."""

    def __init__(
        self, folder: LogFolder, published: Checkpoint | None, expected: Expectations, report: LogReport
    ) -> None:
        self._folder = folder
        self._published = published
        self._roots = [each for each in expected.roots if each.origin == report.log]
        self._entries = [each for each in expected.entries if each.origin == report.log]
        self._report = report
        self._tree = RightEdge()
        self._tiles = Tiles(TileEdge())

    @property
    def size(self) -> int:
        """Entries so far."""
        return self._tree.size

    def checkpoint(self) -> Checkpoint:
        """What a checkpoint has to say at this size."""
        return Checkpoint(self._report.log, self._tree.size, self._tree.root())

    def take_up(self, edge: TileEdge) -> None:
        """Begins after entries that were deleted, of which there are tiles of hashes alone.

        Raises `BrokenLogError` if there are not even these.
        """
        leaves = self._folder.leaves(edge.size)
        if len(leaves) < edge.size:
            self._report.stop(FaultKind.REMOVED, len(leaves), "its tile of hashes is missing")
        for index, detail in find_old_tile_fault(self._folder, leaves):
            self._report.note(FaultKind.CHANGED, index, detail)
        self._tiles = Tiles(edge)
        self.extend(leaves, None)

    def extend(self, leaves: list[bytes], entries: list[bytes] | None) -> bool:
        """Grows the tree. `entries`: None if they were deleted. Returns whether its root is the published one.

        True, too, if the tree has not the published size on the way.
        """
        begin, end = self._tree.size, self._tree.size + len(leaves)
        for each in self._entries:
            if begin <= each.index < end and leaves[each.index - begin] != each.leaf:
                self._report.note(FaultKind.FORKED, each.index, f"{each.known_from} has another entry")
        for size in self._sizes(begin, end):
            start = self._tree.size
            added = self._tree.extend(leaves[start - begin : size - begin])
            if entries is not None:
                whole = self._tiles.extend(added, entries[start - begin : size - begin])
                if self._published is None or size <= self._published.size:
                    for index, kind, detail in find_tile_fault(self._folder, whole):
                        self._report.note(kind, index, detail)
            if not self._has_expected_root():
                return False
        return True

    def _sizes(self, begin: int, end: int) -> list[int]:
        """Where to compare roots: at the sizes that somebody knows a root of, and at the end."""
        known = {each.size for each in self._roots}
        if self._published:
            known.add(self._published.size)
        return sorted({end, *(size for size in known if begin < size < end)})

    def _has_expected_root(self) -> bool:
        root = self._tree.root()
        for each in self._roots:
            if each.size == self._tree.size and each.root != root:
                self._report.note(each.kind, None, f"{each.known_from} has another root for {each.size} entries")
        if self._published is None or self._published.size != self._tree.size:
            return True
        for index, kind, detail in find_partial_fault(self._folder, self._tiles.edge()):
            self._report.note(kind, index, detail)
        return self._published.root == root

    def end(self) -> None:
        """Notes what the tree is too small for."""
        size = self._tree.size
        if self._published and size < self._published.size:
            kind = FaultKind.TRUNCATED if size else FaultKind.REMOVED
            self._report.note(kind, size, f"{self._published.size} entries were published")
        for each in self._roots:
            if each.size > size:
                self._report.note(FaultKind.TRUNCATED, size, f"{each.known_from} knows {each.size} entries")
        for one in self._entries:
            if one.index >= size:
                self._report.note(FaultKind.TRUNCATED, size, f"{one.known_from} knows entry {one.index}")
