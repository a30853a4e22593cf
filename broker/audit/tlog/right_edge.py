"""The right edge of a growing Merkle tree: all of it that is needed to append, and to prove what was appended last.

Level k of the tree has the roots of the whole subtrees of 2^k leaves. Of each level the edge keeps the nodes of the
last batch, and the one before them that has no right sibling yet. The rest of the tree lies in tiles.
"""

from collections.abc import Sequence

from broker.audit.tlog.hashing import EMPTY_ROOT, node_hash


class RightEdge:
    """The right edge. State: the nodes of each level, from the lowest one, and the index of the first of them."""

    __slots__ = ("_firsts", "_nodes", "_remainders", "size")

    def __init__(self) -> None:
        self.size = 0
        """Leaves of the tree."""
        self._nodes: list[list[bytes]] = []
        self._firsts: list[int] = []
        self._remainders: list[bytes | None] = [None]
        """For each level, the root of what follows its last whole subtree, and at last that of the whole tree."""

    @classmethod
    def of(cls, size: int, roots: Sequence[bytes]) -> "RightEdge":
        """The edge of a tree, from the roots of its maximal whole subtrees, the smallest (the rightmost) first."""
        edge, left = cls(), iter(roots)
        edge.size = size
        for level in range(size.bit_length()):
            count = size >> level
            edge._nodes.append([next(left)] if count & 1 else [])
            edge._firsts.append(count & ~1)
        edge._join()
        return edge

    def extend(self, leaves: list[bytes]) -> list[list[bytes]]:
        """Appends the hashes of entries. Returns the new nodes of each level, from the leaves up."""
        self._forget()
        self.size += len(leaves)
        added: list[list[bytes]] = []
        fresh = leaves
        while fresh:
            level = len(added)
            if level == len(self._nodes):
                self._nodes.append([])
                self._firsts.append(0)
            nodes = self._nodes[level]
            nodes += fresh
            added.append(fresh)
            # Only the first of the nodes may have been there before; so it is a left sibling, and all pairs are new.
            fresh = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
        self._join()
        return added

    def _forget(self) -> None:
        """Drops the nodes that have their sibling."""
        for level, nodes in enumerate(self._nodes):
            count = self.size >> level
            self._firsts[level] = count & ~1
            self._nodes[level] = nodes[-1:] if count & 1 else []

    def root(self) -> bytes:
        """The root of the tree."""
        return self._remainders[-1] or EMPTY_ROOT

    def _join(self) -> None:
        """Joins the whole subtrees, from the right to the left."""
        remainder: bytes | None = None
        self._remainders = [remainder]
        for level, nodes in enumerate(self._nodes):
            if self.size >> level & 1:
                remainder = nodes[-1] if remainder is None else node_hash(nodes[-1], remainder)
            self._remainders.append(remainder)

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof (RFC 6962, 2.1.1) of a leaf of the last batch."""
        proof = []
        for level, (nodes, first) in enumerate(zip(self._nodes, self._firsts, strict=True)):
            whole, sibling = self.size >> level, (index >> level) ^ 1
            if sibling < whole:
                proof.append(nodes[sibling - first])
            elif sibling == whole and (remainder := self._remainders[level]) is not None:
                proof.append(remainder)
        return proof
