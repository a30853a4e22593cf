"""Parses the common kinds of lookup from their bytes with numpy, a whole batch at a time.

A lookup is *plain* if it asks about a person or organisation by a valid number of 18 characters and a name of Chinese
characters and full-width brackets, and is encoded the way every protobuf library encodes it. There are two *forms*:
persons with a resident identity, and organisations with a unified social credit code.

    0x0a length ref   0x12 length ( 0x0a length name   0x10 1   0x1a 18 number )
    0x0a length ref   0x1a length ( 0x0a length name            0x12 18 number )

Nearly all lookups are plain. Their numbers and names are already normalised, so that Python objects are created only
for lookups that the cache does not answer. Every other lookup, including every invalid one, is parsed and validated one
by one (`serving.lookups`); tests/core/subjects/test_plain_lookups.py proves that both ways give the same result.

Unless stated otherwise, arrays hold one element or row per lookup. The position of a field is computed from the lengths
before it, so for a lookup that is not plain it may lie beyond the lookup's end. What is read there is ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from broker.core.subjects import checkdigits as check
from broker.core.subjects.key import SEPARATOR, SubjectMessages
from broker.core.subjects.number_rules import check_residents, check_unified_codes
from broker.model import Subject, SubjectType

_NUMBER = 18
_IDEOGRAPH = 3  # bytes of each character of a name
_MAX_REF = 64  # characters for all lookups; bytes for plain ones
_HEAD = 1 + _NUMBER + 1  # of a message to hash (`key.SubjectMessages`): type, number, separator
_PADDING = bytes(1024)  # after the last lookup: three lengths of one byte each can point 800 bytes beyond it

# In UTF-8, U+4E00 to U+9FFF: ideographs.
_FIRST, _LAST, _FIRST_AFTER = 0xE4, 0xE9, 0xB8
# U+FF08 and U+FF09, the brackets of firms' names.
_BRACKET, _BRACKET_AFTER, _OPENING, _CLOSING = 0xEF, 0xBC, 0x88, 0x89

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How lookups of one subject type are encoded."""

    type: SubjectType
    tag: int
    """The tag of the field that holds the subject."""
    before_number: bytes
    """What separates name and number."""
    longest_name: int
    """Bytes. The longest name sets the width of the arrays for the whole batch; longer names are rare."""
    validate: Callable[[check.Characters, date], dict[str, check.Mask]]
    """Which numbers pass each check (`number_rules`). The date is today's."""


FORMS = (
    Form(SubjectType.RESIDENT_ID, 0x12, b"\x10\x01\x1a\x12", 42, check_residents),
    Form(SubjectType.ORGANIZATION_CODE, 0x1A, b"\x12\x12", 90, check_unified_codes),
)


@dataclass(frozen=True, slots=True)
class PlainLookups:
    """The plain lookups of a batch, of one form."""

    type: SubjectType
    indices: list[int]
    """Where they are in the batch."""
    heads: list[bytes]
    """The encoded ref field of each lookup, with which its report begins."""
    messages: SubjectMessages
    """What their keys are computed from."""

    def subjects(self) -> list[Subject]:
        """Their subjects, as Python objects."""
        rows, ends = self.messages
        numbers = rows[:, 1 : 1 + _NUMBER].tobytes().decode("ascii")
        lengths = ends - _HEAD
        texts = rows[:, _HEAD:]
        names = texts[np.arange(texts.shape[1]) < lengths[:, None]].tobytes().decode()  # all names, concatenated
        bounds = [0, *(lengths // _IDEOGRAPH).cumsum().tolist()]
        return [
            Subject(self.type, numbers[at : at + _NUMBER], names[start:end])
            for at, (start, end) in zip(range(0, len(numbers), _NUMBER), pairwise(bounds), strict=True)
        ]


def find_plain(lookups: Sequence[bytes], form: Form, *, today: date) -> PlainLookups:
    """Finds the lookups of one form among encoded `Lookup`s. `today` is the latest possible date of birth.

    The lookups are joined, and every field is located by adding up the lengths before it. For one person:

    >>> lookup = bytes.fromhex(
    ...     "0a 01 37 "                           # offset  0: ref, 1 byte: "7"
    ...     "12 1e "                              # offset  3: person, 30 bytes, up to the end of the lookup
    ...     "0a 06 e5bca0 e4b889 "                # offset  5: name, 6 bytes: 张三
    ...     "10 01 "                              # offset 13: document_type 1, RESIDENT_ID
    ...     "1a 12 3131303130353139343931323331303032 58"  # offset 15: document_number, 18 bytes
    ... )

    * `ref_length` is the byte at offset 1. The subject begins after the ref: `subject_at` = 2 + 1 = 3, where the
      form's tag must be.
    * `name_length` is the byte at `subject_at` + 3 = 6, so the name ends at `name_end` = `subject_at` + 4 + 6 = 13.
    * The form's `before_number`, 10 01 1a 12, must follow, and `number_at` is 17.
    * The lookup is plain only if both the subject (5 + 30) and the number (17 + 18) end where the lookup ends, at 35.

    >>> found = find_plain([lookup], FORMS[0], today=date(2026, 1, 1))
    >>> found.indices, found.subjects()
    ([0], [Subject(type=<SubjectType.RESIDENT_ID: 1>, number='11010519491231002X', name='张三')])
    >>> find_plain([lookup[:-1] + b"0"], FORMS[0], today=date(2026, 1, 1)).indices  # a wrong check digit
    []
    """
    count = len(lookups)
    lengths = np.fromiter(map(len, lookups), np.int64, count)
    ends = lengths.cumsum()
    starts = ends - lengths
    data = np.frombuffer(b"".join([*lookups, _PADDING]), np.uint8)

    ref_length, is_ref = _field(data, starts, 0x0A)
    subject_at = starts + 2 + ref_length
    subject_length, is_subject = _field(data, subject_at, form.tag)
    name_length, is_name = _field(data, subject_at + 2, 0x0A)
    name_end = subject_at + 4 + name_length
    number_at = name_end + len(form.before_number)
    plain = is_ref & is_subject & is_name & (ref_length <= _MAX_REF) & (name_length <= form.longest_name)
    plain &= (subject_at + 2 + subject_length == ends) & (number_at + _NUMBER == ends)
    for offset, byte in enumerate(form.before_number):
        plain &= data[name_end + offset] == byte

    indices = np.flatnonzero(plain)
    if len(indices) < count:
        starts, ref_length, name_length, name_end, number_at = (
            column[indices] for column in (starts, ref_length, name_length, name_end, number_at)
        )
    codes = data[number_at[:, None] + np.arange(_NUMBER)]
    names = _texts(data, name_end - name_length, name_length)
    valid = _are_chinese(names, name_length) & (_texts(data, starts + 2, ref_length) < 0x80).all(axis=1)
    for passed in form.validate(np.ascontiguousarray(codes.T), today).values():
        valid &= passed
    chosen = np.flatnonzero(valid)
    if len(chosen) < len(indices):
        indices, codes, names = indices[chosen], codes[chosen], names[chosen]
        ref_length, name_length = ref_length[chosen], name_length[chosen]
    found = indices.tolist()
    heads = [lookups[index][:end] for index, end in zip(found, (ref_length + 2).tolist(), strict=True)]
    return PlainLookups(form.type, found, heads, _messages(form.type, codes, names, name_length))


def _field(data: NDArray[np.uint8], at: Integers, tag: int) -> tuple[Integers, check.Mask]:
    """The lengths of the fields at these offsets, and whether each is a field with this tag and a one-byte length."""
    lengths = data[at + 1].astype(np.int64)
    return lengths, (data[at] == tag) & (lengths > 0) & (lengths < 0x80)


def _texts(data: NDArray[np.uint8], at: Integers, lengths: Integers) -> NDArray[np.uint8]:
    """The bytes at these offsets, one row each, padded with zeros."""
    columns = np.arange(lengths.max(initial=0))
    texts: NDArray[np.uint8] = data[at[:, None] + columns]
    if len(lengths) and lengths.min() < len(columns):
        texts[columns >= lengths[:, None]] = 0
    return texts


def _are_chinese(names: NDArray[np.uint8], lengths: Integers) -> check.Mask:
    """Whether names consist of ideographs and full-width brackets only, of three bytes each."""
    width = names.shape[1] // _IDEOGRAPH * _IDEOGRAPH
    first, second, third = (names[:, offset:width:_IDEOGRAPH] for offset in range(_IDEOGRAPH))
    ideograph = (first >= _FIRST) & (first <= _LAST) & ((first > _FIRST) | (second >= _FIRST_AFTER))
    ideograph &= (second >= 0x80) & (second < 0xC0) & (third >= 0x80) & (third < 0xC0)
    beyond = np.arange(0, width, _IDEOGRAPH) >= lengths[:, None]
    accepted = ideograph | beyond
    if not accepted.all():
        accepted |= (first == _BRACKET) & (second == _BRACKET_AFTER) & ((third == _OPENING) | (third == _CLOSING))
    mask: check.Mask = (lengths % _IDEOGRAPH == 0) & accepted.all(axis=1)
    return mask


def _messages(
    subject_type: int, codes: NDArray[np.uint8], names: NDArray[np.uint8], name_lengths: Integers
) -> SubjectMessages:
    count, width = names.shape
    rows = np.zeros((count, _HEAD + width + 1), np.uint8)
    rows[:, 0] = subject_type
    rows[:, 1 : 1 + _NUMBER] = codes
    rows[:, 1 + _NUMBER] = SEPARATOR
    rows[:, _HEAD : _HEAD + width] = names
    return SubjectMessages(rows, _HEAD + name_lengths)
