"""Tiles (C2SP tlog-tiles): the hashes of a Merkle tree, and the entries, as files of 256 that never change.

A tile at level l has the roots of whole subtrees of 256^l leaves. The last one of each level is partial, and is a file
of its own for each width at which a checkpoint was published.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from broker.audit.tlog.hashing import HASH_SIZE, leaf_hash, root_of
from broker.audit.tlog.right_edge import RightEdge

WIDTH = 256
"""Hashes or entries of a whole tile."""
_BITS = 8  # levels of the tree in a level of tiles
_LENGTH = 2  # bytes before each entry of a bundle

Resource = tuple[str, bytes]
"""A file of the log: its path and content."""


class TileEdge(NamedTuple):
    """What the partial tiles of a log hold. With it, a log can be continued without its tiles."""

    size: int = 0
    """Entries of the log."""
    levels: Sequence[Sequence[bytes]] = ()
    """The hashes of the partial tile of each level; empty where there is none."""
    entries: Sequence[bytes] = ()
    """Those of the partial bundle."""

    def right_edge(self) -> RightEdge:
        """The same as the edge of a tree. Raises `ValueError` if it is none."""
        if [len(hashes) for hashes in self.levels] != _widths(self.size) or len(self.entries) != self.size % WIDTH:
            raise ValueError("the widths of tiles do not belong to the size of the log")
        if [leaf_hash(entry) for entry in self.entries] != list(self.levels[0] if self.levels else ()):
            raise ValueError("the entries of the partial bundle do not have the hashes of the partial tile")
        roots = []
        for hashes in self.levels:
            end = len(hashes)
            for bit in range(_BITS):
                if len(hashes) >> bit & 1:
                    end -= 1 << bit
                    roots.append(root_of(hashes[end : end + (1 << bit)]))
        return RightEdge.of(self.size, roots)

    def resources(self) -> list[Resource]:
        """The partial tiles, and the partial bundle."""
        found = [
            (tile_path(level, (self.size >> _BITS * level) // WIDTH, len(hashes)), b"".join(hashes))
            for level, hashes in enumerate(self.levels)
            if hashes
        ]
        if self.entries:
            found.append((bundle_path(self.size // WIDTH, len(self.entries)), encode_bundle(self.entries)))
        return found


class Tiles:
    """The tiles of a growing log. State: what the partial ones hold."""

    __slots__ = ("_entries", "_levels", "_size")

    def __init__(self, edge: TileEdge) -> None:
        self._size = edge.size
        self._levels = [list(hashes) for hashes in edge.levels]
        self._entries = list(edge.entries)

    def edge(self) -> TileEdge:
        """What the partial tiles hold now."""
        return TileEdge(self._size, tuple(map(tuple, self._levels)), tuple(self._entries))

    def extend(self, added: Sequence[list[bytes]], entries: list[bytes]) -> list[Resource]:
        """Takes entries, and new nodes by level of the tree (`RightEdge.extend`). Returns the tiles that are whole."""
        whole = self._extend_hashes(added[::_BITS])
        self._entries += entries
        first = self._size // WIDTH
        for at in range(len(self._entries) // WIDTH):
            bundle = self._entries[at * WIDTH : (at + 1) * WIDTH]
            whole.append((bundle_path(first + at), encode_bundle(bundle)))
        del self._entries[: len(self._entries) // WIDTH * WIDTH]
        self._size += len(entries)
        return whole

    def _extend_hashes(self, added: Sequence[list[bytes]]) -> list[Resource]:
        whole: list[Resource] = []
        for level, fresh in enumerate(added):
            if level == len(self._levels):
                self._levels.append([])
            hashes = self._levels[level]
            hashes += fresh
            first = (self._size >> _BITS * level) // WIDTH
            whole += [
                (tile_path(level, first + at), b"".join(hashes[at * WIDTH : (at + 1) * WIDTH]))
                for at in range(len(hashes) // WIDTH)
            ]
            del hashes[: len(hashes) // WIDTH * WIDTH]
        return whole


def _widths(size: int) -> list[int]:
    """The width of the partial tile of each level."""
    return [(size >> _BITS * level) % WIDTH for level in range(-(-size.bit_length() // _BITS))]


def tile_path(level: int, index: int, width: int = 0) -> str:
    """The path of a tile. `width`: of a partial one."""
    return f"tile/{level}/{_index_path(index, width)}"


def bundle_path(index: int, width: int = 0) -> str:
    """The path of a bundle of entries. `width`: of a partial one."""
    return f"tile/entries/{_index_path(index, width)}"


def partial_folder(path: str) -> str:
    """The folder of the partial tiles that a whole one takes the place of."""
    return f"{path}.p"


def _index_path(index: int, width: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"{path}.p/{width}" if width else path


def parse_path(path: str) -> tuple[int | None, int]:
    """The level and index of a whole tile, from its path; the level of a bundle is None."""
    _, level, *groups = path.split("/")
    return (None if level == "entries" else int(level)), int("".join(group.removeprefix("x") for group in groups))


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [tile[at : at + HASH_SIZE] for at in range(0, len(tile), HASH_SIZE)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The file of entries."""
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(_LENGTH, "big"), entry)])


def decode_bundle(bundle: bytes) -> list[bytes]:
    """The entries in a file. Raises `ValueError`."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + _LENGTH
        at = start + int.from_bytes(bundle[at:start], "big")
        entries.append(bundle[start:at])
    if at != len(bundle):
        raise ValueError("a bundle of entries ends too early")
    return entries
