"""Reads names: what an institution is sent, and what goes into the key.

A name stays as the court wrote it, and is only trimmed of white space at both ends: a registry that compares exactly
knows a firm by its full-width brackets, and says "not found" to half-width ones. How names are compared is another
matter (`name_folding`), and so is how a name would have been registered (`name_standard`).
"""

import re
from collections.abc import Sequence

from broker.core.subjects.fault import EMPTY, Fault
from broker.core.subjects.invisible import WHITE_SPACE, find_unreadable

LONGEST_NAME = 100
"""Characters, as written: the bound holds before anything is done that takes longer for longer names."""
_LONG_NAME = Fault("BAD_LENGTH", f"is longer than {LONGEST_NAME} characters: give only the registered name")
_UNREADABLE_NAME = Fault(
    "BAD_CHARACTER",
    "contains an invisible or broken character, a tab or a line break: type the name instead of pasting it",
)
_SEPARATOR = "\n"
"""Joins the names of a batch. If one of them contains it, splitting gives too many parts."""

_ORDINARY = f"[\u4e00-\u9fff\u3400-\u4dbf!-~·（）]{{1,{LONGEST_NAME}}}"
_is_ordinary = re.compile(_ORDINARY).fullmatch
_are_ordinary = re.compile(f"(?:{_ORDINARY}{_SEPARATOR})*").fullmatch


def read_names(names: Sequence[str]) -> tuple[list[str], dict[int, Fault]]:
    """Trims names, and finds the invalid ones. Returns the names, and the faults by index.

    Nearly all names consist of characters of which none has to be trimmed or refused, which one regular expression
    verifies for the whole batch.
    """
    trimmed = [*names]
    faults: dict[int, Fault] = {}
    text = _SEPARATOR.join([*names, ""])
    if _are_ordinary(text) and text.count(_SEPARATOR) == len(names):
        return trimmed, faults
    for index in [index for index, name in enumerate(names) if not _is_ordinary(name)]:
        trimmed[index] = names[index].strip(WHITE_SPACE)
        if fault := _name_fault(trimmed[index]):
            faults[index] = fault
    return trimmed, faults


def _name_fault(name: str) -> Fault | None:
    if not name:
        return EMPTY
    if len(name) > LONGEST_NAME:
        return _LONG_NAME
    if find_unreadable(name):
        return _UNREADABLE_NAME
    return None
