"""Numbers and names: one spelling for each, and a fault for each that cannot be right.

Courts type numbers the way they stand on paper: full-width, in groups, with a small x. Two spellings of one number must
become equal subjects, or the broker would ask twice and remember twice; and a number that cannot exist must not cost
every institution an inquiry. All lookups pass through here, so a batch is looked at as a whole, and Python looks at a
single number or name only if it is spelled unusually, is wrong, or is of a type that has a shape but no check digit.
"""

import re
from collections.abc import Sequence
from datetime import date
from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple
from unicodedata import category, normalize

import numpy as np

from broker.core.subjects import checkdigits as check
from broker.core.subjects.number_rules import MESSAGES, RULES
from broker.model import SubjectType


class Fault(NamedTuple):
    """Why a number or name cannot be right."""

    reason: str
    """Stable, for programs."""
    message: str
    """What is wrong and what to do about it. Never holds the number or name."""


_EMPTY = Fault("EMPTY", "is empty: fill it in, or leave this lookup out")
_FAULTS = {
    subject_type: {reason: Fault(reason, message) for reason, message in messages.items()}
    for subject_type, messages in MESSAGES.items()
}
LONGEST_NAME = 100
_LONG_NAME = Fault("BAD_LENGTH", f"is longer than {LONGEST_NAME} characters: give the registered name alone")
_UNREADABLE_NAME = Fault("BAD_CHARACTER", "holds an invisible or broken character: type the name anew, do not paste it")

SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
MIDDLE_DOTS = "\u00b7\u0387\u2022\u2027\u2219\u22c5\u25cf\u2e31\u30fb\uff0e\uff65"
"""Every dot that input methods offer for 阿·买买提. ASCII's full stop is none: it abbreviates Latin names."""

_SPELLING = str.maketrans(
    {chr(code + 0xFEE0): chr(code).upper() for code in range(ord("!"), ord("~") + 1)}  # Unicode's full-width block
    | dict(zip(ascii_lowercase, ascii_uppercase, strict=True))
    | dict.fromkeys(SPACES + HYPHENS + MIDDLE_DOTS, " ")  # stand between the groups of a card number, or in 京A·12345
)
_PLAIN_BYTES = (digits + ascii_uppercase).encode()
_is_plain = re.compile("[0-9A-Z\u4e00-\u9fff]*").fullmatch
_SEPARATOR = "\n"
"""Joins a batch. A number or name that holds one itself gives itself away: the parts are then too many."""


def normalise_numbers(
    types: Sequence[int], numbers: Sequence[str], *, today: date
) -> tuple[list[str], dict[int, Fault]]:
    """Each number in its one spelling, and a fault for each that cannot be right.

    Args:
        types: the `SubjectType` of each number.
        numbers: as many, as the caller wrote them.
        today: nobody is born later.

    Returns:
        As many numbers, and the faults by position. A number with a fault is as tidy as it could be made.

    Raises:
        ValueError: a type is no `SubjectType`, or there are not as many types as numbers.
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
        positions = np.flatnonzero(column == one).tolist()
        group, wrong = _of_one_type(SubjectType(one), [numbers[position] for position in positions], today)
        for position, number in zip(positions, group, strict=True):
            normalised[position] = number
        faults |= {positions[place]: fault for place, fault in wrong.items()}
    return normalised, faults


def _of_one_type(one: SubjectType, numbers: Sequence[str], today: date) -> tuple[list[str], dict[int, Fault]]:
    tidied = _tidied(numbers)
    if one is SubjectType.RESIDENT_ID:
        tidied = _in_todays_form(tidied)
    faults = _FAULTS[one]
    reasons = RULES[one](tidied, today)
    return tidied, {position: faults[reason] if tidied[position] else _EMPTY for position, reason in reasons.items()}


def _tidied(numbers: Sequence[str]) -> list[str]:
    """Half-width, upper case, ungrouped. A line break inside a number stays, to be refused: it may part two numbers."""
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
    """The 15 digits given out until 1999 lack the century and the check digit (GB 11643-1989)."""
    if 15 not in set(map(len, residents)):  # as always, nearly
        return residents
    bodies = {
        position: f"{number[:6]}19{number[6:]}"
        for position, number in enumerate(residents)
        if len(number) == 15 and number.isascii() and number.isdigit()
    }
    _, codes = check.places([*bodies.values()], 17)
    checks = check.resident_check(check.read(check.DIGITS, codes)).tolist()
    upgraded = residents.copy()
    for (position, body), value in zip(bodies.items(), checks, strict=True):
        upgraded[position] = body + "0123456789X"[value]
    return upgraded


_one_dot = re.compile(f"[{MIDDLE_DOTS}]").sub
_FINISHED_NAME = f"[\u4e00-\u9fff\u3400-\u4dbf!-~·]{{1,{LONGEST_NAME}}}"
_is_finished = re.compile(_FINISHED_NAME).fullmatch
_are_finished = re.compile(f"(?:{_FINISHED_NAME}{_SEPARATOR})*").fullmatch
_UNREADABLE = {"Cc", "Cf", "Cs"}
"""Control, invisible (such as the direction of text), lone surrogate. Private use stays: rare names are kept there."""


def normalise_names(names: Sequence[str]) -> tuple[list[str], dict[int, Fault]]:
    """Each name in its one spelling (half-width, single spaces, one kind of middle dot), and faults by position.

    Nearly all names are Chinese characters only and need nothing: one look at the joined batch tells.
    """
    normalised = [*names]
    faults: dict[int, Fault] = {}
    text = _SEPARATOR.join([*names, ""])
    if _are_finished(text) and text.count(_SEPARATOR) == len(names):
        return normalised, faults
    for position in [position for position, name in enumerate(names) if not _is_finished(name)]:
        normalised[position] = _respelled(names[position])
        if fault := _name_fault(normalised[position]):
            faults[position] = fault
    return normalised, faults


def _respelled(name: str) -> str:
    """The dots come first: NFKC would make the full-width dot a full stop."""
    return " ".join(normalize("NFKC", _one_dot("·", name)).split())


def _name_fault(name: str) -> Fault | None:
    if not name:
        return _EMPTY
    if len(name) > LONGEST_NAME:
        return _LONG_NAME
    if not name.isprintable() and any(category(character) in _UNREADABLE for character in name):
        return _UNREADABLE_NAME
    return None
