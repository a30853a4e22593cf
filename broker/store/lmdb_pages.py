"""Checks the pages of an LMDB file without LMDB.

LMDB trusts its file: one wrong bit in a page may end the process, or make it overwrite pages that are in use. The
format (LMDB 0.9, little-endian) is redundant enough to reveal nearly every wrong bit:

* a page begins with its own number, its kind, and how much of it is in use;
* the entries of a tree's page lie one after the other from there to its end, in order of their keys;
* a long value has pages of its own, as many as its length needs;
* every page below the last is used exactly once: as a meta page, in a tree, by a long value, or as a free page.

Pure: it reads from a buffer. A buffer that is a mapped file may end the process, if the disk cannot read it.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker.store.cipher import Buffer

_META = struct.Struct("<II8xQ48s48sQQ")  # magic, version, size of the map, free and main tree, last page, transaction
_TREE = struct.Struct("<IHHQQQQQ")  # page size (of the free tree), flags, depth, pages of three kinds, entries, root
_PAGE = struct.Struct("<Q2xHHH")  # number, kind, and where the free space within begins and ends
_HEAD = 16  # bytes of it
_OVERFLOW_PAGES = struct.Struct("<12xI")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4  # kinds of pages
_LONG, _TREE_WITHIN = 1, 2  # flags of an entry: its value has pages of its own; it is the root of another tree
_FLAGS = (0, _LONG, _TREE_WITHIN)
_NUMBER = 8  # bytes of a page's number in an entry
_NODE = 8  # bytes of an entry before its key: low and high half of its size, flags, length of the key
_EMPTY = 0xFFFFFFFFFFFFFFFF  # the root of an empty tree
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_LARGEST = 1 << 46  # bytes of a map, for what can be mapped at all

Visit = Callable[[bytes, bytes, Buffer], object]
"""Called with each entry: its tree's name, its key, its value."""


class DamageError(Exception):
    """A page is not what it should be. The message names it, and nothing of what it holds."""


def _require(condition: object, number: int, what: str) -> None:
    if not condition:
        raise DamageError(f"page {number}: {what}")


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of entries, as its parent describes it."""

    depth: int
    branches: int
    leaves: int
    overflow: int
    entries: int
    root: int

    @classmethod
    def read(cls, raw: Buffer) -> "Tree":
        """From the 48 bytes of its description."""
        _, _, *numbers = _TREE.unpack(raw)
        return cls(*numbers)


@dataclass(frozen=True, slots=True)
class Meta:
    """One of the two meta pages: the file as of one transaction."""

    page_size: int
    free: Tree
    main: Tree
    last: int
    """Number of the last page."""
    transaction: int

    @classmethod
    def read(cls, data: Buffer, number: int, page_size: int) -> "Meta":
        """Meta page 0 or 1. Raises `DamageError`."""
        _require(len(data) >= 2 * page_size, number, "the file ends before it")
        start = number * page_size + _HEAD
        magic, version, size, free, main, last, transaction = _META.unpack_from(data, start)
        _require((magic, version) == (_MAGIC, _VERSION), number, "not a meta page of LMDB 0.9")
        _require(_TREE.unpack(free)[0] == page_size, number, "its page size is another")
        _require(2 * page_size <= size <= _LARGEST, number, "the size of its map is impossible")
        _require(1 <= last < size // page_size, number, "its last page is beyond its map")
        return cls(page_size, Tree.read(free), Tree.read(main), last, transaction)


class Pages:
    """The pages of a file as of one transaction. State: which of them have been found."""

    def __init__(self, data: Buffer, meta: Meta) -> None:
        """`data` is the file. Raises `DamageError` if it is too short."""
        _require(len(data) >= (meta.last + 1) * meta.page_size, meta.last, "the file ends before it")
        self._data = data
        self._meta = meta
        self._found = bytearray(meta.last + 1)
        self._find(0, 2)

    def check(self, visit: Visit) -> None:
        """Looks at every page, and shows `visit` every entry. Raises `DamageError`, and what `visit` raises."""
        _TreeReader(self, self._note_free, name=b"", by_number=True).read(self._meta.free)
        _TreeReader(self, visit, name=b"").read(self._meta.main)
        _require(all(self._found), self._found.find(0), "it is neither in use nor free")

    def page(self, number: int, count: int = 1) -> Buffer:
        """The content of pages that nothing else uses. Raises `DamageError`."""
        self._find(number, count)
        size = self._meta.page_size
        return self._data[number * size : (number + count) * size]

    def long_value(self, number: int, size: int) -> tuple[Buffer, int]:
        """A value with pages of its own, and how many. Raises `DamageError`."""
        count = (_HEAD - 1 + size) // self._meta.page_size + 1
        page = self.page(number, count)
        own, kind, _, _ = _PAGE.unpack_from(page)
        (said,) = _OVERFLOW_PAGES.unpack_from(page)
        _require((own, kind, said) == (number, _OVERFLOW, count), number, "it is not the value it should be")
        return page[_HEAD : _HEAD + size], count

    def _note_free(self, _: bytes, __: bytes, numbers: Buffer) -> None:
        """Takes note of free pages: their count, and so many numbers."""
        held = np.frombuffer(numbers, "<u8")
        _require(len(held) and held[0] < len(held), 0, "a list of free pages is cut short")
        for number in held[1 : int(held[0]) + 1].tolist():
            self._find(number, 1)

    def _find(self, number: int, count: int) -> None:
        _require(number + count <= len(self._found), number, "it is beyond the last page")
        _require(not any(self._found[number : number + count]), number, "it is used twice")
        self._found[number : number + count] = b"\1" * count


class _TreeReader:
    """Reads one tree. State: what it turned out to have, and the last key."""

    def __init__(self, pages: Pages, visit: Visit, *, name: bytes, by_number: bool = False) -> None:
        """`by_number`: the keys are numbers, and in order as such."""
        self._pages = pages
        self._visit = visit
        self._name = name
        self._by_number = by_number
        self._branches = self._leaves = self._overflow = self._entries = 0
        self._last: tuple[int, bytes] = (-1, b"")

    def read(self, tree: Tree) -> None:
        """Reads the tree, which must be as it is described. Raises `DamageError`."""
        if tree.root != _EMPTY:
            self._read_page(tree.root, tree.depth)
        said = (tree.branches, tree.leaves, tree.overflow, tree.entries)
        is_so = said == (self._branches, self._leaves, self._overflow, self._entries)
        _require(is_so, tree.root, "its tree has not the pages and entries it should have")

    def _read_page(self, number: int, depth: int) -> None:
        page = self._pages.page(number)
        own, kind, lower, upper = _PAGE.unpack_from(page)
        _require(own == number, number, "it says it is another")
        _require(kind == (_LEAF if depth == 1 else _BRANCH), number, "its kind is wrong")
        _require(_HEAD < lower <= upper <= len(page) and lower % 2 == 0, number, "its bounds are impossible")
        starts = np.frombuffer(page, "<u2", (lower - _HEAD) // 2, _HEAD).astype(np.int64)
        _require(starts.max() <= len(page) - _NODE, number, "an entry is outside")
        nodes = np.frombuffer(page, np.uint8)[starts[:, None] + np.arange(_NODE)].view("<u2").astype(np.int64)
        low, high, flags, keys = nodes.T
        if depth == 1:
            self._leaves += 1
            _require(np.isin(flags, _FLAGS).all(), number, "an entry's kind is wrong")
            within = np.where(flags == _LONG, _NUMBER, low | high << 16)
        else:
            self._branches += 1
            within = np.zeros(len(starts), np.int64)
        _require(
            _are_packed(starts, _NODE + keys + within, upper, len(page)), number, "its entries are not side by side"
        )
        if depth == 1:
            self._read_entries(number, page, [starts + _NODE, starts + _NODE + keys, low | high << 16, flags])
        else:
            for child in (low | high << 16 | flags << 32).tolist():
                self._read_page(child, depth - 1)

    def _read_entries(self, number: int, page: Buffer, columns: Sequence[NDArray[np.int64]]) -> None:
        self._entries += len(columns[0])
        for start, at, size, flag in zip(*(column.tolist() for column in columns), strict=True):
            key = bytes(page[start:at])
            order = (int.from_bytes(key, "little") if self._by_number else 0, key)
            _require(order > self._last, number, "its keys are not in order")
            self._last = order
            if flag == _TREE_WITHIN:
                _require(size == _TREE.size, number, "the description of a tree is cut short")
                _TreeReader(self._pages, self._visit, name=key).read(Tree.read(page[at : at + size]))
            elif flag == _LONG:
                value, count = self._pages.long_value(int.from_bytes(page[at : at + _NUMBER], "little"), size)
                self._overflow += count
                self._visit(self._name, key, value)
            else:
                self._visit(self._name, key, page[at : at + size])


def _are_packed(starts: NDArray[np.int64], sizes: NDArray[np.int64], begin: int, end: int) -> bool:
    """Whether entries lie one after the other, each at an even offset, from `begin` to `end`."""
    order = starts.argsort()
    bounds = np.concatenate(([begin], (starts + sizes + (sizes & 1))[order]))
    return bool((starts[order] == bounds[:-1]).all() and bounds[-1] == end)
