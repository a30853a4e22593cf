"""Normalises and validates numbers.

Courts type numbers as they are printed: in full-width characters, in groups, with a lower-case x. Two spellings of one
number must become equal subjects, or the broker would ask the institutions twice and cache the answers twice. An
invalid number must not cost every institution an inquiry.

Every lookup is validated, so the work is done on whole batches. Python code handles a single number only if its
spelling is unusual, if it is invalid, or if its type has no check digit and is validated by a pattern.
"""

import re
from collections.abc import Sequence
from datetime import date
from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

import numpy as np

from broker.core.subjects import checkdigits as check
from broker.core.subjects.fault import EMPTY, Fault
from broker.core.subjects.invisible import WHITE_SPACE, find_unreadable
from broker.core.subjects.name_marks import CLOSING_BRACKETS, FULL_STOPS, HYPHENS, MIDDLE_DOTS, OPENING_BRACKETS
from broker.core.subjects.number_rules import MESSAGES, RULES
from broker.model import SubjectType

_FAULTS = {
    subject_type: {reason: Fault(reason, message) for reason, message in messages.items()}
    for subject_type, messages in MESSAGES.items()
}
_UNREADABLE = Fault(
    "BAD_CHARACTER",
    "contains an invisible character or a line break: give one number, and type it instead of pasting it",
)

_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_SPELLING = str.maketrans(
    {chr(code + 0xFEE0): chr(code).upper() for code in range(ord("!"), ord("~") + 1)}  # Unicode's full-width block
    | dict(zip(ascii_lowercase, ascii_uppercase, strict=True))
    | dict.fromkeys(_SPACES + HYPHENS + MIDDLE_DOTS, " ")  # between the groups of a card number, or in 京A·12345
)
_WITHOUT_BRACKETS = str.maketrans(dict.fromkeys(OPENING_BRACKETS + CLOSING_BRACKETS + "/\u2044\u2215", ""))
_WITHOUT_FULL_STOPS = str.maketrans(dict.fromkeys(FULL_STOPS, ""))
_MARKS = {
    SubjectType.MILITARY_ID: _WITHOUT_BRACKETS,
    SubjectType.HK_MACAO_PERMIT: _WITHOUT_BRACKETS,
    SubjectType.TAIWAN_PERMIT: _WITHOUT_BRACKETS,
    SubjectType.HONG_KONG_ID: _WITHOUT_BRACKETS,
    SubjectType.MACAO_ID: _WITHOUT_BRACKETS,
    SubjectType.TAIWAN_ID: _WITHOUT_BRACKETS,
    SubjectType.VEHICLE_PLATE: _WITHOUT_FULL_STOPS,
}
"""What is printed or typed in numbers of some types and is no part of them: A123456(3), 1/234567/8, 京A.12345. In other
types a full stop is an error, because spreadsheets append .0 to numbers."""
_PLAIN_BYTES = (digits + ascii_uppercase).encode()
_is_plain = re.compile("[0-9A-Z\u4e00-\u9fff]*").fullmatch
_FIRST_OF_CENTENARIANS = "996"
_SEPARATOR = "\n"
"""Joins the numbers of a batch. If one of them contains it, splitting gives too many parts."""


class NormalisedNumbers(NamedTuple):
    """The numbers of a batch in one spelling, and what is wrong with some of them, by index."""

    numbers: list[str]
    """An invalid number is normalised as far as possible."""
    faults: dict[int, Fault]
    warnings: dict[int, Fault]
    """Of numbers without a fault. They are to be asked about."""


def normalise_numbers(types: Sequence[int], numbers: Sequence[str], *, today: date) -> NormalisedNumbers:
    """Normalises numbers, and finds the invalid and the doubtful ones.

    Args:
        types: the `SubjectType` of each number.
        numbers: the numbers as the caller wrote them, one for each type.
        today: the latest possible date of birth.

    Raises:
        ValueError: a type is not a `SubjectType`, or there are not as many types as numbers.
    """
    if len(types) != len(numbers):
        raise ValueError(f"{len(types)} types for {len(numbers)} numbers")
    if not numbers:
        return NormalisedNumbers([], {}, {})
    if types.count(types[0]) == len(types):
        return _of_one_type(SubjectType(types[0]), numbers, today)
    return _of_many_types(types, numbers, today)


def _of_many_types(types: Sequence[int], numbers: Sequence[str], today: date) -> NormalisedNumbers:
    result = NormalisedNumbers([*numbers], {}, {})
    column = np.array(types)
    for one in set(types):
        indices = np.flatnonzero(column == one).tolist()
        group = _of_one_type(SubjectType(one), [numbers[index] for index in indices], today)
        for index, number in zip(indices, group.numbers, strict=True):
            result.numbers[index] = number
        result.faults.update({indices[within]: fault for within, fault in group.faults.items()})
        result.warnings.update({indices[within]: warning for within, warning in group.warnings.items()})
    return result


def _of_one_type(one: SubjectType, numbers: Sequence[str], today: date) -> NormalisedNumbers:
    tidied, unreadable = _tidied(numbers)
    if one is SubjectType.RESIDENT_ID:
        tidied = _in_todays_form(tidied)
    elif marks := _MARKS.get(one):
        tidied = [number.translate(marks) for number in tidied]
    verdicts = RULES[one](tidied, today)
    faults = {i: _FAULTS[one][reason] if tidied[i] else EMPTY for i, reason in verdicts.faults.items()}
    faults |= dict.fromkeys(unreadable, _UNREADABLE)
    return NormalisedNumbers(tidied, faults, {i: _FAULTS[one][reason] for i, reason in verdicts.warnings.items()})


def _tidied(numbers: Sequence[str]) -> tuple[list[str], list[int]]:
    """Makes numbers half-width and upper case, and removes the gaps between groups.

    Returns them, and the indices of those that contain an invisible character or a line break, which may separate two
    numbers.
    """
    text = "".join(numbers)
    if not text.encode("ascii", "replace").translate(None, _PLAIN_BYTES):
        return [*numbers], []
    tidied = _each_tidied(numbers, is_ascii=text.isascii())
    if not find_unreadable("".join(tidied)):
        return tidied, []
    return tidied, [index for index, number in enumerate(tidied) if find_unreadable(number)]


def _each_tidied(numbers: Sequence[str], *, is_ascii: bool) -> list[str]:
    if is_ascii:  # str.translate is fast for ASCII only
        tidied = _ungrouped(_SEPARATOR.join(numbers)).split(_SEPARATOR)
        if len(tidied) == len(numbers):
            return [number.strip(WHITE_SPACE) for number in tidied]
    return [number if _is_plain(number) else _ungrouped(number).strip(WHITE_SPACE) for number in numbers]


def _ungrouped(text: str) -> str:
    return text.translate(_SPELLING).replace(" ", "")


def _in_todays_form(residents: list[str]) -> list[str]:
    """Converts the 15 digits issued until 1999, which lack the century and the check digit (GB 11643-1989).

    The sequence numbers 996 to 999 were reserved for people of a hundred years or more, who were born in the 1800s.
    """
    if 15 not in set(map(len, residents)):  # nearly always
        return residents
    bodies = {
        index: number[:6] + ("18" if number[12:] >= _FIRST_OF_CENTENARIANS else "19") + number[6:]
        for index, number in enumerate(residents)
        if len(number) == 15 and number.isascii() and number.isdigit()
    }
    _, codes = check.characters([*bodies.values()], 17)
    checks = check.resident_check(check.read(check.DIGITS, codes)).tolist()
    upgraded = residents.copy()
    for (index, body), value in zip(bodies.items(), checks, strict=True):
        upgraded[index] = body + "0123456789X"[value]
    return upgraded
