"""What texts, amounts and decimals in replies have to be, in every dialect.

* A text has no control characters (Unicode's Cc): they are remains of fixed-width records, and courts' systems break on
  them.
* An amount of money has at most 999,999,999 billionths, and both its parts have the same sign (google.type.Money).
* A date is a day that exists, or a part of one (google.type.Date): a year, a year and month, or a month and day.
* A decimal is a number in decimal notation (google.type.Decimal). An empty text stands for none.
"""

import re
from collections.abc import Sequence
from datetime import date
from operator import mul

MAX_NANOS = 999_999_999
_DECIMAL = r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)?"
_lines_of_decimals = re.compile(f"(?:{_DECIMAL}\n)*").fullmatch

_C0 = bytes((*range(0x20), 0x7F))
_c1 = re.compile(rb"\xc2[\x80-\x9f]").search


def has_controls(text: bytes) -> bool:
    """Whether a text in UTF-8 contains a control character. Texts may be joined before."""
    return len(text.translate(None, _C0)) < len(text) or has_c1_controls(text)


def has_c1_controls(text: bytes) -> bool:
    """Whether a text in UTF-8 contains one of the control characters U+0080 to U+009F."""
    return b"\xc2" in text and _c1(text) is not None  # the first test is by far the faster one


def are_decimals(texts: Sequence[str]) -> bool:
    """Whether all of these are decimals, or empty."""
    lines = "\n".join([*texts, ""])
    return _lines_of_decimals(lines) is not None and lines.count("\n") == len(texts)


def are_amounts(units: Sequence[int], nanos: Sequence[int]) -> bool:
    """Whether all of these are amounts of money, of which there must be one at least."""
    if max(nanos) > MAX_NANOS or min(nanos) < -MAX_NANOS:
        return False
    return (min(nanos) >= 0 and min(units) >= 0) or min(map(mul, units, nanos)) >= 0


def is_date(year: int, month: int, day: int) -> bool:
    """Whether this is a date or a part of one, in which 0 stands for what is not known."""
    if not month and day:
        return False
    try:
        date(year or 2000, month or 1, day or 1)  # 2000 was a leap year
    except (ValueError, OverflowError):
        return False
    return True
