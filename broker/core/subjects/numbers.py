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

import numpy as np

from broker.core.subjects import checkdigits as check
from broker.core.subjects.fault import EMPTY, Fault
from broker.core.subjects.number_rules import MESSAGES, RULES
from broker.model import SubjectType

_FAULTS = {
    subject_type: {reason: Fault(reason, message) for reason, message in messages.items()}
    for subject_type, messages in MESSAGES.items()
}

SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
MIDDLE_DOTS = "\u00b7\u0387\u2022\u2027\u2219\u22c5\u25cf\u2e31\u30fb\uff0e\uff65"
"""Every dot that input methods offer for 阿·买买提. ASCII's full stop is none: it abbreviates Latin names."""

_SPELLING = str.maketrans(
    {chr(code + 0xFEE0): chr(code).upper() for code in range(ord("!"), ord("~") + 1)}  # Unicode's full-width block
    | dict(zip(ascii_lowercase, ascii_uppercase, strict=True))
    | dict.fromkeys(SPACES + HYPHENS + MIDDLE_DOTS, " ")  # between the groups of a card number, or in 京A·12345
)
_PLAIN_BYTES = (digits + ascii_uppercase).encode()
_is_plain = re.compile("[0-9A-Z\u4e00-\u9fff]*").fullmatch
_SEPARATOR = "\n"
"""Joins the numbers of a batch. If one of them contains it, splitting gives too many parts."""


def normalise_numbers(
    types: Sequence[int], numbers: Sequence[str], *, today: date
) -> tuple[list[str], dict[int, Fault]]:
    """Normalises numbers, and finds the invalid ones.

    Args:
        types: the `SubjectType` of each number.
        numbers: the numbers as the caller wrote them, one for each type.
        today: the latest possible date of birth.

    Returns:
        The normalised numbers, and the faults by index. An invalid number is normalised as far as possible.

    Raises:
        ValueError: a type is not a `SubjectType`, or there are not as many types as numbers.
    """
    if len(types) != len(numbers):
        raise ValueError(f"{len(types)} types for {len(numbers)} numbers")
    if not numbers:
        return [], {}
    if types.count(types[0]) == len(types):
        return _of_one_type(SubjectType(types[0]), numbers, today)
    return _of_many_types(types, numbers, today)


def _of_many_types(types: Sequence[int], numbers: Sequence[str], today: date) -> tuple[list[str], dict[int, Fault]]:
    normalised = [*numbers]
    faults: dict[int, Fault] = {}
    column = np.array(types)
    for one in set(types):
        indices = np.flatnonzero(column == one).tolist()
        group, invalid = _of_one_type(SubjectType(one), [numbers[index] for index in indices], today)
        for index, number in zip(indices, group, strict=True):
            normalised[index] = number
        faults |= {indices[within]: fault for within, fault in invalid.items()}
    return normalised, faults


def _of_one_type(one: SubjectType, numbers: Sequence[str], today: date) -> tuple[list[str], dict[int, Fault]]:
    tidied = _tidied(numbers)
    if one is SubjectType.RESIDENT_ID:
        tidied = _in_todays_form(tidied)
    faults = _FAULTS[one]
    reasons = RULES[one](tidied, today)
    return tidied, {index: faults[reason] if tidied[index] else EMPTY for index, reason in reasons.items()}


def _tidied(numbers: Sequence[str]) -> list[str]:
    """Makes numbers half-width and upper case, and removes the gaps between groups.

    A line break inside a number is kept, so that the number is refused: it may separate two numbers.
    """
    text = "".join(numbers)
    if not text.encode("ascii", "replace").translate(None, _PLAIN_BYTES):
        return [*numbers]
    if text.isascii():  # str.translate is fast for ASCII only
        tidied = _ungrouped(_SEPARATOR.join(numbers)).split(_SEPARATOR)
        if len(tidied) == len(numbers):
            return [number.strip() for number in tidied]
    return [number if _is_plain(number) else _ungrouped(number).strip() for number in numbers]


def _ungrouped(text: str) -> str:
    return text.translate(_SPELLING).replace(" ", "")


def _in_todays_form(residents: list[str]) -> list[str]:
    """Converts the 15 digits issued until 1999, which lack the century and the check digit (GB 11643-1989)."""
    if 15 not in set(map(len, residents)):  # nearly always
        return residents
    bodies = {
        index: f"{number[:6]}19{number[6:]}"
        for index, number in enumerate(residents)
        if len(number) == 15 and number.isascii() and number.isdigit()
    }
    _, codes = check.characters([*bodies.values()], 17)
    checks = check.resident_check(check.read(check.DIGITS, codes)).tolist()
    upgraded = residents.copy()
    for (index, body), value in zip(bodies.items(), checks, strict=True):
        upgraded[index] = body + "0123456789X"[value]
    return upgraded
