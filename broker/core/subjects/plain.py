"""Recognises, a batch at a time, lookups that need no second look, from their bytes alone.

A lookup is *plain* if it asks about somebody by a number of 18 characters that can exist, under a Chinese name, and is
encoded the way every protobuf library does it. There are two *forms*, persons with a resident identity, and
organisations with a unified social credit code:

    0x0a length ref   0x12 length ( 0x0a length name   0x10 1   0x1a 18 number )
    0x0a length ref   0x1a length ( 0x0a length name            0x12 18 number )

Nearly all lookups are. They are already in their one spelling, so nothing of them has to become an object of Python's
before something is missing in the cache. Whatever is not exactly so, faults included, is for a closer look.

Arrays hold one element or row per lookup; what is read beyond the end of one that is not plain means nothing, and is
not used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from broker.core.subjects import checkdigits as check
from broker.core.subjects.key import SEPARATOR, Material
from broker.core.subjects.number_rules import residents_judged, unified_codes_judged
from broker.model import Subject, SubjectType

_NUMBER = 18
_IDEOGRAPH = 3  # bytes of each character of a name
_LONGEST_REF = 64  # characters, as everywhere; bytes here
_HEAD = 1 + _NUMBER + 1  # of a message that keys are made of: type, number, separator
_SPARE = bytes(1024)  # after the last lookup: three lengths of one byte each can lead 800 bytes astray

# In UTF-8, U+4E00 to U+9FFF: the ideographs that have no other spelling.
_FIRST, _LAST, _FIRST_AFTER = 0xE4, 0xE9, 0xB8

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How lookups of one type of subject are encoded."""

    type: SubjectType
    tag: int
    """The byte before the subject."""
    before_number: bytes
    """What stands between name and number."""
    longest_name: int
    """Bytes. A long name makes the arrays wider for all, and names beyond this are rare."""
    judged: Callable[[check.Places, date], dict[str, check.Mask]]
    """Which numbers are right, in each way (`number_rules`). The date is today's."""


FORMS = (
    Form(SubjectType.RESIDENT_ID, 0x12, b"\x10\x01\x1a\x12", 42, residents_judged),
    Form(SubjectType.ORGANIZATION_CODE, 0x1A, b"\x12\x12", 90, unified_codes_judged),
)


@dataclass(frozen=True, slots=True)
class Plain:
    """The lookups of a batch that are plain, in one form."""

    type: SubjectType
    places: list[int]
    """In the batch."""
    heads: list[bytes]
    """Each one's ref field, encoded, as a report begins with it."""
    material: Material
    """What their keys are made of."""

    def subjects(self) -> list[Subject]:
        """What they are about."""
        rows, ends = self.material
        numbers = rows[:, 1 : 1 + _NUMBER].tobytes().decode("ascii")
        lengths = ends - _HEAD
        texts = rows[:, _HEAD:]
        names = texts[np.arange(texts.shape[1]) < lengths[:, None]].tobytes().decode()  # all in a row
        bounds = [0, *(lengths // _IDEOGRAPH).cumsum().tolist()]
        return [
            Subject(self.type, numbers[at : at + _NUMBER], names[start:end])
            for at, (start, end) in zip(range(0, len(numbers), _NUMBER), pairwise(bounds), strict=True)
        ]


def find_plain(lookups: Sequence[bytes], form: Form, *, today: date) -> Plain:
    """Those among encoded `Lookup`s that are plain in this form. Nobody is born after `today`."""
    count = len(lookups)
    lengths = np.fromiter(map(len, lookups), np.int64, count)
    ends = lengths.cumsum()
    starts = ends - lengths
    data = np.frombuffer(b"".join([*lookups, _SPARE]), np.uint8)

    ref_length, is_ref = _field(data, starts, 0x0A)
    subject_at = starts + 2 + ref_length
    subject_length, is_subject = _field(data, subject_at, form.tag)
    name_length, is_name = _field(data, subject_at + 2, 0x0A)
    name_end = subject_at + 4 + name_length
    number_at = name_end + len(form.before_number)
    plain = is_ref & is_subject & is_name & (ref_length <= _LONGEST_REF) & (name_length <= form.longest_name)
    plain &= (subject_at + 2 + subject_length == ends) & (number_at + _NUMBER == ends)
    for offset, byte in enumerate(form.before_number):
        plain &= data[name_end + offset] == byte

    places = np.flatnonzero(plain)
    if len(places) < count:
        starts, ref_length, name_length, name_end, number_at = (
            column[places] for column in (starts, ref_length, name_length, name_end, number_at)
        )
    codes = data[number_at[:, None] + np.arange(_NUMBER)]
    names = _texts(data, name_end - name_length, name_length)
    right = _are_chinese(names, name_length) & (_texts(data, starts + 2, ref_length) < 0x80).all(axis=1)
    for judgement in form.judged(np.ascontiguousarray(codes.T), today).values():
        right &= judgement
    chosen = np.flatnonzero(right)
    if len(chosen) < len(places):
        places, codes, names = places[chosen], codes[chosen], names[chosen]
        ref_length, name_length = ref_length[chosen], name_length[chosen]
    found = places.tolist()
    heads = [lookups[place][:end] for place, end in zip(found, (ref_length + 2).tolist(), strict=True)]
    return Plain(form.type, found, heads, _material(form.type, codes, names, name_length))


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


def _material(
    subject_type: int, codes: NDArray[np.uint8], names: NDArray[np.uint8], name_lengths: Integers
) -> Material:
    count, width = names.shape
    rows = np.zeros((count, _HEAD + width + 1), np.uint8)
    rows[:, 0] = subject_type
    rows[:, 1 : 1 + _NUMBER] = codes
    rows[:, 1 + _NUMBER] = SEPARATOR
    rows[:, _HEAD : _HEAD + width] = names
    return Material(rows, _HEAD + name_lengths)
