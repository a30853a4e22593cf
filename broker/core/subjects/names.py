"""Normalises and validates names."""

import re
from collections.abc import Sequence
from unicodedata import category, normalize

from broker.core.subjects.fault import EMPTY, Fault
from broker.core.subjects.numbers import MIDDLE_DOTS

LONGEST_NAME = 100
_LONG_NAME = Fault("BAD_LENGTH", f"is longer than {LONGEST_NAME} characters: give only the registered name")
_UNREADABLE_NAME = Fault(
    "BAD_CHARACTER", "contains an invisible or broken character: type the name instead of pasting it"
)
_SEPARATOR = "\n"
"""Joins the names of a batch. If one of them contains it, splitting gives too many parts."""

_one_dot = re.compile(f"[{MIDDLE_DOTS}]").sub
_NORMALISED_NAME = f"[\u4e00-\u9fff\u3400-\u4dbf!-~·]{{1,{LONGEST_NAME}}}"
_is_normalised = re.compile(_NORMALISED_NAME).fullmatch
_are_normalised = re.compile(f"(?:{_NORMALISED_NAME}{_SEPARATOR})*").fullmatch
_UNREADABLE = {"Cc", "Cf", "Cs"}
"""Control characters, invisible ones (such as text direction marks), and lone surrogates. Private-use characters are
allowed, since rare names are written with them."""


def normalise_names(names: Sequence[str]) -> tuple[list[str], dict[int, Fault]]:
    """Normalises names (half-width, single spaces, one kind of middle dot). Returns them, and the faults by index.

    Nearly all names consist of Chinese characters only and are already normalised, which one regular expression
    verifies for the whole batch.
    """
    normalised = [*names]
    faults: dict[int, Fault] = {}
    text = _SEPARATOR.join([*names, ""])
    if _are_normalised(text) and text.count(_SEPARATOR) == len(names):
        return normalised, faults
    for index in [index for index, name in enumerate(names) if not _is_normalised(name)]:
        normalised[index] = _respelled(names[index])
        if fault := _name_fault(normalised[index]):
            faults[index] = fault
    return normalised, faults


def _respelled(name: str) -> str:
    """Replaces middle dots first, because NFKC would turn the full-width dot into a full stop."""
    return " ".join(normalize("NFKC", _one_dot("·", name)).split())


def _name_fault(name: str) -> Fault | None:
    if not name:
        return EMPTY
    if len(name) > LONGEST_NAME:
        return _LONG_NAME
    if not name.isprintable() and any(category(character) in _UNREADABLE for character in name):
        return _UNREADABLE_NAME
    return None
