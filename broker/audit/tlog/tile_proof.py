"""Proofs about a log from its tiles: that it has an entry, and that it continues an earlier one (RFC 6962, 2.1)."""

from collections.abc import Callable

from broker.audit.tlog.hashing import node_hash, root_of
from broker.audit.tlog.tiles import WIDTH

_BITS = 8  # levels of the tree in a level of tiles

ReadHashes = Callable[[int, int, int], list[bytes] | None]
"""The first hashes of a tile, by level, index and width; None if it is missing."""


class TileTree:
    """The tree that tiles describe. State: the tiles read so far."""

    def __init__(self, size: int, read: ReadHashes) -> None:
        self._size = size
        self._read = read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """The root of the tree. Raises `ValueError` if a tile is missing."""
        return self._range(0, self._size)

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof of an entry. Raises `ValueError` if it is not in the tree, or a tile is missing."""
        if not 0 <= index < self._size:
            msg = f"there is no entry {index} in a log of {self._size}"
            raise ValueError(msg)
        proof, start, end = [], 0, self._size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start = middle
        return proof[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the tree continues the one of its first entries. Raises `ValueError` if a tile is missing."""
        if not 0 <= old <= self._size:
            msg = f"a log of {self._size} entries continues none of {old}"
            raise ValueError(msg)
        if old in (0, self._size):
            return []
        proof, start, end, is_known = [], 0, self._size, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(start, middle))
                start, is_known = middle, False
        if not is_known:  # else it is the root of the earlier tree itself
            proof.append(self._range(start, end))
        return proof[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The root of the subtree over these entries; it begins at a multiple of the power of two that it fills."""
        count = end - start
        level = (count.bit_length() - 1) // _BITS
        span = 1 << _BITS * level
        if count % span == 0 and count // span <= WIDTH:
            return root_of(self._hashes(level, start // span, count // span))
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _hashes(self, level: int, first: int, count: int) -> list[bytes]:
        index, at = divmod(first, WIDTH)
        tile = self._tiles.get((level, index))
        if tile is None:
            width = min(WIDTH, (self._size >> _BITS * level) - index * WIDTH)
            tile = self._tiles[level, index] = self._read(level, index, width) or []
        if len(tile) < at + count:
            msg = f"tile {index} of level {level} is missing"
            raise ValueError(msg)
        return tile[at : at + count]


def _split(count: int) -> int:
    """The largest power of two below a number."""
    return 1 << (count - 1).bit_length() - 1
