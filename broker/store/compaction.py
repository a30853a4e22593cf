"""Decides when which part of the log is compacted, and what is deleted there. Pure: store.log carries it out.

The log is divided into *extents* of 1,024 blocks, some 10,000 records. Compaction visits them in order, from the
oldest to the newest, and then begins again. One step examines the next extents that are due: about three records for
each record appended since the step before. So the whole log is examined while a third of its size is appended.

    extent                   due
    the newest                always: it still grows
    never examined            now
    examined                  when half of its blocks will have expired, or as soon as half of the records that were
                              needed in it have been replaced by newer ones
    without blocks            never: blocks are only appended at the end

Extents that are not due are not read: otherwise the whole log would be read from disk again and again.

In the extents examined,

    an expired record         is removed from the index
    a needed record           stays where it is: the index points to it, and it has not expired
    a block                   stays while any record in it is needed; otherwise it is deleted
    the last block            always stays, so that block numbers never decrease, and the index never covers more blocks
                              than there are
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_EXTENT = 10  # bits of a block's number below that of its extent
_MIN_RECORDS = 5_000  # examined in a step, if so many are due: some 2 ms
_PACE = 3  # records examined for each one appended: what other workers have left undone is soon made up for
_NEVER = 2**63 - 1

Numbers = NDArray[np.int64]


def extent_of(block: int) -> int:
    """The extent that a block of this number belongs to."""
    return block >> _EXTENT


def numbers_in(extent: int) -> range:
    """The numbers of the blocks that belong to an extent."""
    return range(extent << _EXTENT, (extent + 1) << _EXTENT)


class Classification(NamedTuple):
    """What is to be done about blocks that were examined."""

    expired: NDArray[np.bool]
    """Of each record: whether the index has to forget it."""
    needed: NDArray[np.bool]
    """Of each record: whether it has to stay."""
    dead: Numbers
    """Numbers of the blocks to delete, after the index has forgotten what has expired."""


def judge(
    blocks: Numbers, block_of: Numbers, expires: Numbers, live: NDArray[np.bool], *, now: int, last: int
) -> Classification:
    """Judges the blocks of these numbers, and the records in them.

    For each record, `block_of` gives the number of its block, `expires` when it expires (seconds since the epoch), and
    `live` whether the index points to it. `last` is the number of the log's last block.

        >>> block_of, expires = np.array([7, 7, 8, 8, 9]), np.array([50, 99, 50, 99, 50])
        >>> live = np.array([True, False, True, True, True])  # the second record was replaced by a newer one
        >>> expired, needed, dead = judge(np.array([7, 8, 9]), block_of, expires, live, now=60, last=9)
        >>> expired.tolist()
        [True, False, True, False, True]
        >>> needed.tolist()
        [False, False, False, True, False]
        >>> dead.tolist()
        [7]
    """
    expired = live & (expires <= now)
    needed = live & ~expired
    dead = np.setdiff1d(blocks, np.append(block_of[needed], last))
    return Classification(expired, needed, dead)


def half_expired(block_of: Numbers, expires: Numbers) -> int:
    """When half of the blocks that hold needed records will have expired; never, if there are none.

    The arguments give the block of each needed record, and when the record expires. A block expires with its last
    record. Here block 1 expires at 90, and the others at 20, 30 and 40:

        >>> half_expired(np.array([1, 1, 2, 3, 4]), np.array([10, 90, 20, 30, 40]))
        30
    """
    if not len(block_of):
        return _NEVER
    blocks, which = np.unique(block_of, return_inverse=True)
    ends = np.zeros(len(blocks), np.int64)
    np.maximum.at(ends, which, expires)
    return int(np.sort(ends)[(len(ends) - 1) // 2])


class CompactionSchedule:
    """When to examine which extent.

    State: the extent examined last, and how many records were appended since; the oldest extent; for each extent,
    when it is due, and how many of its needed records may be replaced before that.
    """

    def __init__(self) -> None:
        self._latest = -1
        self._appended = 0
        self._oldest = 0
        self._due: dict[int, int] = {}
        self._replaceable: dict[int, int] = {}

    @property
    def quota(self) -> int:
        """How many records the next step examines at least, if so many are due. Extents are examined as a whole."""
        return max(_MIN_RECORDS, _PACE * self._appended)

    def note_appended(self, count: int) -> None:
        """So many records were appended."""
        self._appended += count

    def note_replaced(self, blocks: Numbers) -> None:
        """Records were replaced by newer ones; `blocks` has the number of the block of each."""
        extents, counts = np.unique(blocks >> _EXTENT, return_counts=True)
        for extent, count in zip(extents.tolist(), counts.tolist(), strict=True):
            if extent in self._replaceable:
                self._replaceable[extent] -= count
                if self._replaceable[extent] <= 0:
                    self._due[extent] = 0

    def due(self, first: int, last: int, now: int) -> Iterator[int]:
        """The extents to examine next, in order. `first`, `last`: the numbers of the log's first and last block."""
        oldest, newest = extent_of(first), extent_of(last)
        self._forget_before(oldest)
        start = self._latest + 1 if oldest <= self._latest < newest else oldest
        for part in (range(start, newest + 1), range(oldest, start)):
            yield from (extent for extent in part if self._due.get(extent, 0) <= now)

    def note_step(self, extents: Sequence[int], block_of: Numbers, expires: Numbers, last: int) -> None:
        """A step has examined these extents, in this order.

        `block_of` and `expires` are of the needed records in all of them (see `half_expired`).
        """
        self._appended = 0
        for extent in extents:
            self._latest = extent
            if extent < extent_of(last):
                within = block_of >> _EXTENT == extent
                self._due[extent] = half_expired(block_of[within], expires[within])
                self._replaceable[extent] = int(np.count_nonzero(within)) // 2

    def _forget_before(self, oldest: int) -> None:
        if oldest > self._oldest:
            self._oldest = oldest
            for extent in [extent for extent in self._due if extent < oldest]:
                del self._due[extent], self._replaceable[extent]
