"""How records lie in the log: some ten to a block, each block one value and one page of the file.

    count    u16
    rows     count x (tag u64, expires u32, size u16)        what compaction needs, without opening any record
    records  the sealed records (store.cipher), one after the other

A block is one page because LMDB keeps a value of that size in a page of its own: writing, finding and deleting cost
once for ten records, any free page will do for a new block, and a page is free again as soon as its block is deleted.
A record too long for a page has a block of its own, and 0 for its size.

A *location* says where one record is: block number, start and size in 40, 12 and 12 bits. At 50,000 subjects a second
the numbers last for seven years.

Two sealed records of 6 and 4 bytes, as block 7:

    >>> tags, sealed = np.array([0xA, 0xB], np.uint64), [b"sealed", b"also"]
    >>> blocks, locations = build(7, tags, [100, 200], sealed)
    >>> blocks[0] == bytes.fromhex(
    ...     "02 00 "                                    # count: 2
    ...     "0a 00 00 00 00 00 00 00 64 00 00 00 06 00 "  # tag 0xA, expires at 100, 6 bytes
    ...     "0b 00 00 00 00 00 00 00 c8 00 00 00 04 00"   # tag 0xB, expires at 200, 4 bytes
    ... ) + b"sealed" + b"also"
    True

The records begin after the count and two rows of 14 bytes, at 30; the second begins 6 bytes later:

    >>> [f"{location >> 24} {location >> 12 & 0xFFF} {location & 0xFFF}" for location in locations.tolist()]
    ['7 30 6', '7 36 4']
    >>> numbers_of(locations).tolist(), spans_of(locations)
    ([7, 7], ([30, 36], [36, 40]))

A block alone tells its records' locations again, which is how a lost index is made from the log:

    >>> rows, again = rows_of([7], blocks)
    >>> rows["tag"].tolist(), again.tolist() == locations.tolist()
    ([10, 11], True)
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from broker.store.cipher import Buffer
from broker.store.index_table import Locations, Tags

_ROW = np.dtype([("tag", "<u8"), ("expires", "<u4"), ("size", "<u2")])
_COUNT = 2  # bytes
_LONGEST = 4080  # bytes; a page of 4096 without LMDB's header
_START, _NUMBER = np.uint64(12), np.uint64(24)  # bits below the start, and below the number
_MASK = np.uint64(0xFFF)

Rows = NDArray[np.void]


def cut(sizes: NDArray[np.int64]) -> list[int]:
    """Where to begin a new block in a row of records of these sizes, and where to end the last: bounds of blocks."""
    ends = [0, *np.cumsum(sizes + _ROW.itemsize).tolist()]
    bounds = [0]
    while bounds[-1] < len(sizes):
        start = bounds[-1]
        stop = bisect_right(ends, ends[start] + _LONGEST - _COUNT, lo=start) - 1
        bounds.append(max(stop, start + 1))
    return bounds


def build(first: int, tags: Tags, expires: Sequence[int], sealed: Sequence[bytes]) -> tuple[list[bytes], Locations]:
    """The blocks of these records, to be numbered from `first` on, and each record's location."""
    sizes = np.fromiter(map(len, sealed), np.int64, len(sealed))
    bounds = cut(sizes)
    rows = np.empty(len(sealed), _ROW)
    rows["tag"], rows["expires"] = tags, expires
    rows["size"] = np.where(sizes < _LONGEST, sizes, 0)
    raw, size = rows.tobytes(), _ROW.itemsize
    blocks = [
        b"".join(((stop - start).to_bytes(_COUNT, "little"), raw[start * size : stop * size], *sealed[start:stop]))
        for start, stop in pairwise(bounds)
    ]
    counts = np.diff(bounds)
    return blocks, _locations(np.arange(first, first + len(blocks)), counts, rows["size"])


def count_of(block: Buffer) -> int:
    """How many records a block says it holds."""
    return int.from_bytes(block[:_COUNT], "little")


def is_whole(block: bytes) -> bool:
    """Whether a block is as long as it says."""
    count = count_of(block)
    body = _COUNT + _ROW.itemsize * count
    if not count or len(block) < body:
        return False
    sizes = np.frombuffer(block, _ROW, count, _COUNT)["size"]
    return len(block) == body + int(sizes.sum(dtype=np.int64)) if sizes.all() else count == 1


def rows_of(numbers: Sequence[int], blocks: Iterable[Buffer]) -> tuple[Rows, Locations]:
    """The rows of some blocks, one after the other, and the location of each record."""
    raw = []
    for block in blocks:
        end = _COUNT + _ROW.itemsize * count_of(block)
        raw.append(bytes(block[_COUNT:end]) if end <= len(block) else b"")  # cut short: it tells nothing
    counts = np.fromiter(map(len, raw), np.int64, len(raw)) // _ROW.itemsize
    rows = np.frombuffer(b"".join(raw), _ROW)
    return rows, _locations(np.array(numbers, np.int64), counts, rows["size"])


def _locations(numbers: NDArray[np.int64], counts: NDArray[np.int64], sizes: NDArray[np.uint16]) -> Locations:
    """Of the records of blocks with these numbers and counts of records."""
    bodies = _COUNT + _ROW.itemsize * counts  # where the records of each block begin
    before = np.cumsum(sizes, dtype=np.int64) - sizes
    base = np.repeat(np.cumsum(counts) - counts, counts)  # of each record, the first one in its block
    starts = np.repeat(bodies, counts) + before - before[base]
    locations: NDArray[np.int64] = np.repeat(numbers, counts) << 24 | starts << 12 | sizes
    return locations.view(np.uint64)


def numbers_of(locations: Locations) -> NDArray[np.int64]:
    """The numbers of the blocks these locations are in."""
    return (locations >> _NUMBER).view(np.int64)


def spans_of(locations: Locations) -> tuple[list[int], list[int | None]]:
    """Where records begin within their blocks, and where they end; None: with the block."""
    starts = (locations >> _START & _MASK).view(np.int64)
    sizes = (locations & _MASK).view(np.int64)
    ends: list[int | None] = (starts + sizes).tolist()
    for long in (sizes == 0).nonzero()[0].tolist():
        ends[long] = None
    return starts.tolist(), ends
