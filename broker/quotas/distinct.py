"""Distinct subjects of a quota's scope, counted in batches. Pure.

Subjects are told apart by the first eight bytes of their commitments. Commitments are the output of a block cipher, so
that among a million subjects any two share these with a probability below 2^-24; the quota would count them as one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker.store.cipher import Buffer

Subjects = NDArray[np.uint64]
COMMITMENT = 16  # bytes
_DTYPE = np.dtype("<u8")


class Count(NamedTuple):
    """What is known of a scope without reading its subjects."""

    base: int = 0
    """Subjects in its sorted part, all different."""
    later: int = 0
    """Subjects in what was appended since; more than there are different ones, unless `exact`."""
    parts: int = 0
    """In how many parts."""
    exact: bool = True
    """Whether no subject is in two parts."""

    @property
    def bound(self) -> int:
        """At most so many different subjects are there."""
        return self.base + self.later

    def appended(self, subjects: int, *, new: bool) -> "Count":
        """After another part. `new`: whether none of its subjects was there before."""
        return Count(self.base, self.later + subjects, self.parts + 1, self.exact and new)


def subjects_of(commitments: bytes) -> Subjects:
    """The different subjects of a request, sorted. `commitments`: 16 bytes for each lookup."""
    return _distinct(np.frombuffer(commitments, _DTYPE)[:: COMMITMENT // _DTYPE.itemsize])


def read(part: Buffer) -> Subjects:
    """A part as it was written."""
    return np.frombuffer(part, _DTYPE)


def write(subjects: Subjects) -> bytes:
    """The bytes of a part."""
    return subjects.astype(_DTYPE, copy=False).tobytes()


def merged(parts: Sequence[Subjects]) -> Subjects:
    """The different subjects of several parts, sorted."""
    return _distinct(np.concatenate(parts)) if parts else np.empty(0, _DTYPE)


def without(subjects: Subjects, known: Subjects) -> Subjects:
    """Those that are not known. Both are sorted."""
    if not len(known):
        return subjects
    places = np.minimum(np.searchsorted(known, subjects), len(known) - 1)
    new: Subjects = subjects[known[places] != subjects]
    return new


def _distinct(subjects: Subjects) -> Subjects:
    """Each of them once, sorted.

    A stable sort merges what is sorted already: a million subjects and some hundred short parts take 5 ms. `np.unique`
    takes a second, since it looks each of them up in a hash table (NumPy 2.4).
    """
    ordered = np.sort(subjects, kind="stable")
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
