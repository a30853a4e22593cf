"""Recognises numbers that a spreadsheet has spoiled. They would be sent as the numbers of nobody.

A spreadsheet takes a long number for a quantity: it keeps fifteen digits, and shows it as 5.40815E+17.
"""

import re
from datetime import date

from broker.client import SubjectType

_AS_TEXT = "format the column as text before you type or import the numbers"
_scientific = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+[0-9]{1,3}").fullmatch
_fraction = re.compile(r"[0-9]{8,}[.,]0+").fullmatch
_quoted = re.compile(r"""['‘’`"].*|="?.*""").fullmatch
_rounded = re.compile(r"[0-9]{15}0{2,}").fullmatch


def spoiled(subject_type: SubjectType, number: str) -> str:
    """What a spreadsheet has done to a number, and the remedy; empty if nothing. Never contains the number."""
    if number.isalnum():  # nearly all
        return _rounding(subject_type, number) if number.endswith("00") else ""
    if _scientific(number):
        return f"is in scientific notation, and most of its digits are lost: {_AS_TEXT}"
    if _fraction(number):
        return f"ends in decimals, as a quantity: {_AS_TEXT}"
    if _quoted(number):
        return "begins with an apostrophe, a quotation mark or =, as a spreadsheet marks text: export it without"
    return ""


def _rounding(subject_type: SubjectType, number: str) -> str:
    """Numbers without a check digit are let pass: one of a hundred valid ones ends in two zeros."""
    if _rounded(number) and _is_invalid(subject_type, number):
        return f"is rounded to fifteen digits; the others are lost: {_AS_TEXT}"
    return ""


def _is_invalid(subject_type: SubjectType, number: str) -> bool:
    from broker.core.subjects.numbers import normalise_numbers  # noqa: PLC0415 - needs numpy, whose import takes 0.1 s

    _, faults, *_ = normalise_numbers([subject_type], [number], today=date.max)
    return bool(faults)
