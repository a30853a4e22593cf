"""Recognises, a batch at a time, lookups that need no second look, from their bytes alone.

A lookup is *plain* if it asks about a person by a resident identity that can exist, under a Chinese name, and is
encoded the way every protobuf library does it:

    0x0a length ref   0x12 length ( 0x0a length name   0x10 1   0x1a 18 number )

Nearly all lookups are. They are already in their one spelling, so nothing of them has to become an object of Python's
before something is missing in the cache. Whatever is not exactly so, faults included, is for a closer look.

Arrays hold one element or row per lookup; what is read beyond the end of one that is not plain means nothing, and is
not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from broker.core import checkdigits as check
from broker.core.key import SEPARATOR, Material
from broker.core.number_rules import residents_judged
from broker.model import Subject, SubjectType

_NUMBER = 18
_LONGEST_NAME = 42  # bytes: 14 characters, more than any Chinese name has
_LONGEST_REF = 64  # characters, as everywhere; bytes here
_HEAD = 1 + _NUMBER + 1  # of a message that keys are made of: type, number, separator
_SPARE = bytes(1024)  # after the last lookup: three lengths of one byte each can lead 800 bytes astray

# In UTF-8, U+4E00 to U+9FFF: the ideographs that have no other spelling.
_FIRST, _LAST, _FIRST_AFTER = 0xE4, 0xE9, 0xB8

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plain:
    """The lookups of a batch that are plain."""

    places: list[int]
    """In the batch."""
    heads: list[bytes]
    """Each one's ref field, encoded, as a report begins with it."""
    material: Material
    """What their keys are made of."""

    def subject(self, index: int) -> Subject:
        """What the plain lookup with this index is about."""
        row = self.material.rows[index, : self.material.lengths[index]].tobytes()
        number, name = row[1 : 1 + _NUMBER], row[_HEAD:]
        return Subject(SubjectType.RESIDENT_ID, number.decode("ascii"), name.decode())


def find_plain(lookups: Sequence[bytes], *, today: date) -> Plain:
    """The plain ones among encoded `Lookup`s. Nobody is born after `today`."""
    count = len(lookups)
    lengths = np.fromiter(map(len, lookups), np.int64, count)
    ends = lengths.cumsum()
    starts = ends - lengths
    data = np.frombuffer(b"".join([*lookups, _SPARE]), np.uint8)

    ref_length, is_ref = _field(data, starts, 0x0A)
    person_at = starts + 2 + ref_length
    person_length, is_person = _field(data, person_at, 0x12)
    name_length, is_name = _field(data, person_at + 2, 0x0A)
    rest_at = person_at + 4 + name_length
    is_rest = (data[rest_at] == 0x10) & (data[rest_at + 1] == SubjectType.RESIDENT_ID)
    is_rest &= (data[rest_at + 2] == 0x1A) & (data[rest_at + 3] == _NUMBER)
    plain = is_ref & is_person & is_name & is_rest & (ref_length <= _LONGEST_REF) & (name_length <= _LONGEST_NAME)
    plain &= (person_at + 2 + person_length == ends) & (rest_at + 4 + _NUMBER == ends)

    places = np.flatnonzero(plain)
    if len(places) < count:
        starts, ref_length, name_length, rest_at = (
            column[places] for column in (starts, ref_length, name_length, rest_at)
        )
    codes = data[(rest_at + 4)[:, None] + np.arange(_NUMBER)]
    names = _texts(data, rest_at - name_length, name_length)
    right = _are_chinese(names, name_length) & (_texts(data, starts + 2, ref_length) < 0x80).all(axis=1)
    for judgement in residents_judged(np.ascontiguousarray(codes.T), today).values():
        right &= judgement
    chosen = np.flatnonzero(right)
    if len(chosen) < len(places):
        places, codes, names = places[chosen], codes[chosen], names[chosen]
        ref_length, name_length = ref_length[chosen], name_length[chosen]
    found = places.tolist()
    heads = [lookups[place][:end] for place, end in zip(found, (ref_length + 2).tolist(), strict=True)]
    return Plain(found, heads, _material(codes, names, name_length))


def _field(data: NDArray[np.uint8], at: Integers, tag: int) -> tuple[Integers, check.Mask]:
    """Lengths of the length-delimited fields at these places, and which of them are that, with one byte of length."""
    lengths = data[at + 1].astype(np.int64)
    return lengths, (data[at] == tag) & (lengths > 0) & (lengths < 0x80)


def _texts(data: NDArray[np.uint8], at: Integers, lengths: Integers) -> NDArray[np.uint8]:
    """The bytes from each place on, one row each, filled up with zeros."""
    reach = np.arange(lengths.max(initial=0))
    texts: NDArray[np.uint8] = data[at[:, None] + reach]
    if len(lengths) and lengths.min() < len(reach):
        texts[reach >= lengths[:, None]] = 0
    return texts


def _are_chinese(names: NDArray[np.uint8], lengths: Integers) -> check.Mask:
    """Whether names are ideographs only, of three bytes each."""
    width = names.shape[1] // 3 * 3
    first, second, third = (names[:, place:width:3] for place in range(3))
    ideograph = (first >= _FIRST) & (first <= _LAST) & ((first > _FIRST) | (second >= _FIRST_AFTER))
    ideograph &= (second >= 0x80) & (second < 0xC0) & (third >= 0x80) & (third < 0xC0)
    beyond = np.arange(0, width, 3) >= lengths[:, None]
    mask: check.Mask = (lengths % 3 == 0) & (ideograph | beyond).all(axis=1)
    return mask


def _material(codes: NDArray[np.uint8], names: NDArray[np.uint8], name_lengths: Integers) -> Material:
    count, width = names.shape
    rows = np.zeros((count, _HEAD + width + 1), np.uint8)
    rows[:, 0] = SubjectType.RESIDENT_ID
    rows[:, 1 : 1 + _NUMBER] = codes
    rows[:, 1 + _NUMBER] = SEPARATOR
    rows[:, _HEAD : _HEAD + width] = names
    return Material(rows, _HEAD + name_lengths)
