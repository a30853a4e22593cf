"""Check digits of the national standards, computed for a whole batch at a time.

Numbers of one width are laid out as a matrix with one row per character position and one column per number, so that a
rule about a position ("the last is a digit or X") is one operation on a contiguous row. Each character is translated to
its value in an alphabet, or to NO_VALUE if it is not in the alphabet. Check sums are meaningless where a value is
NO_VALUE, so characters are checked separately, before the check digit.
"""

from collections.abc import Sequence
from datetime import date
from string import ascii_uppercase, digits

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""One boolean per number."""
Characters = NDArray[np.uint8]
"""Shape (character positions, numbers): character codes, or their values in an alphabet."""
Integers32 = NDArray[np.int32]
"""One integer per number."""

NO_VALUE = 255
_FILLER = "?"
"""Replaces a character that is missing or not ASCII. It is in no alphabet."""

_RESIDENT_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], np.int32)  # GB 11643
_UNIFIED_WEIGHTS = np.array([pow(3, position, 31) for position in range(17)], np.int32)  # GB 32100
_ORGANIZATION_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2], np.int32)  # GB 11714
_VIN_WEIGHTS = np.array([8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2], np.int32)  # GB 16735
_HONG_KONG_WEIGHTS = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1], np.int32)
_TAIWAN_WEIGHTS = np.array([1, 8, 7, 6, 5, 4, 3, 2, 1, 1], np.int32)
_THOUSANDS = np.array([1000, 100, 10, 1], np.int32)
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0], np.int32)
"""Days in each month of a common year; 0 for month numbers 0 and 13."""
_EARLIEST_BIRTH = 1850_01_01
"""Identity numbers were first issued in 1984, when nobody was older than 134."""


def _alphabet(characters: str, values: Sequence[int] | None = None) -> Characters:
    """Maps a character code to its value: its index in `characters`, unless `values` are given."""
    alphabet = np.full(256, NO_VALUE, np.uint8)
    alphabet[np.frombuffer(characters.encode(), np.uint8)] = values or range(len(characters))
    return alphabet


DIGITS = _alphabet(digits)
ELEVEN = _alphabet(digits + "X")
"""Remainders modulo 11, written 0 to 9 and X. Values below 10 are digits."""
_DOUBLED = _alphabet(digits, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9])
"""The digit sum of twice the digit (ISO/IEC 7812)."""
_UNIFIED = _alphabet("0123456789ABCDEFGHJKLMNPQRTUWXY")  # GB 32100: no I, O, S, V, Z
_ORGANIZATION = _alphabet(digits + ascii_uppercase)  # GB 11714
_HONG_KONG = _alphabet(digits + ascii_uppercase + " ")
"""A blank in front stands for the first of two letters."""
_TAIWAN_CITIES = [*range(10, 18), 34, *range(18, 23), 35, *range(23, 30), 32, 30, 31, 33]
"""The number of each letter from A to Z, which stands for a city or county."""
_TAIWAN_FIRST = _alphabet(ascii_uppercase, [(city // 10 + 9 * city) % 10 for city in _TAIWAN_CITIES])
_TAIWAN_OTHERS = _alphabet(digits + ascii_uppercase, [*range(10), *(city % 10 for city in _TAIWAN_CITIES)])
_VIN = _alphabet("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", [*map(int, "012345678912345678123457923456789")])  # GB 16735


def lengths(numbers: Sequence[str]) -> Integers32:
    """The number of characters of each number."""
    return np.fromiter(map(len, numbers), np.int32, len(numbers))


def characters(numbers: Sequence[str], width: int) -> tuple[Mask, Characters]:
    """Which numbers have exactly this width, and the character codes of all numbers, truncated or padded to it.

    Each character that is not ASCII, including a lone surrogate, becomes one filler, so that the others keep their
    positions.
    """
    fitting = lengths(numbers) == width
    if not fitting.all():
        numbers = [number[:width].ljust(width, _FILLER) for number in numbers]
    codes = np.frombuffer("".join(numbers).encode("ascii", "replace"), np.uint8)
    return fitting, np.ascontiguousarray(codes.reshape(-1, width).T)


def read(alphabet: Characters, codes: Characters) -> Characters:
    """Translates character codes to values, in the same shape."""
    return alphabet.take(codes)


def known(values: Characters) -> Mask:
    """Which numbers have a value at every position."""
    mask: Mask = (values != NO_VALUE).all(axis=0)
    return mask


def resident_characters(values: Characters) -> Mask:
    """Whether there are 17 digits, then a digit or X. `values`: all 18 positions, read in ELEVEN."""
    mask: Mask = (values[:17] < 10).all(axis=0) & (values[17] <= 10)
    return mask


def resident_check(values: Characters) -> Integers32:
    """The check digit of the first 17 positions: remainders 0 to 10 give 1 0 X 9 8 7 6 5 4 3 2."""
    check: Integers32 = (12 - _RESIDENT_WEIGHTS @ values[:17] % 11) % 11
    return check


def birth_dates(values: Characters, today: date) -> Mask:
    """Whether eight digits, read in DIGITS or ELEVEN, are a date on which a holder can have been born."""
    year = _THOUSANDS @ values[:4]
    month = _THOUSANDS[2:] @ values[4:6]
    day = _THOUSANDS[2:] @ values[6:]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last_day = _DAYS.take(month, mode="clip") + (leap & (month == 2))
    written = year * 10_000 + month * 100 + day
    latest = today.year * 10_000 + today.month * 100 + today.day
    mask: Mask = (day >= 1) & (day <= last_day) & (written >= _EARLIEST_BIRTH) & (written <= latest)
    return mask


def unified_characters(codes: Characters) -> Mask:
    """GB 32100: an alphabet of 31 characters, with a division code of six digits at positions 3 to 8."""
    return known(read(_UNIFIED, codes)) & known(read(DIGITS, codes[2:8]))


def unified_checks(codes: Characters) -> Mask:
    """GB 32100: whether the 18th position is the check character of the first 17."""
    values = read(_UNIFIED, codes)
    mask: Mask = (31 - _UNIFIED_WEIGHTS @ values[:17] % 31) % 31 == values[17]
    return mask


def organization_characters(codes: Characters) -> Mask:
    """GB 11714: eight digits or letters, then a digit or X."""
    return known(read(_ORGANIZATION, codes[:8])) & known(read(ELEVEN, codes[8:9]))


def organization_checks(codes: Characters) -> Mask:
    """GB 11714: whether the 9th position is the check character of the first 8: 10 is written X, 11 is written 0."""
    check = (11 - _ORGANIZATION_WEIGHTS @ read(_ORGANIZATION, codes[:8]) % 11) % 11
    mask: Mask = check == read(ELEVEN, codes[8])
    return mask


def vin_characters(codes: Characters) -> Mask:
    """ISO 3779: digits, and letters other than I, O and Q."""
    return known(read(_VIN, codes))


def vin_checks(codes: Characters) -> Mask:
    """GB 16735: whether the 9th position, which has weight 0, is the weighted sum of the others modulo 11."""
    mask: Mask = _VIN_WEIGHTS @ read(_VIN, codes) % 11 == read(ELEVEN, codes[8])
    return mask


def luhn_checks(codes: Characters) -> Mask:
    """ISO/IEC 7812 (Luhn): with every second digit from the right doubled, the digit sum is a multiple of ten.

    Numbers are padded with zeros on the left, which add nothing to the sum.
    """
    singles = read(DIGITS, codes[::-2]).sum(axis=0, dtype=np.int32)
    doubles = read(_DOUBLED, codes[-2::-2]).sum(axis=0, dtype=np.int32)
    mask: Mask = (singles + doubles) % 10 == 0
    return mask


def hong_kong_checks(codes: Characters) -> Mask:
    """Whether the weighted sum of nine positions is a multiple of eleven; the check digit A is ten."""
    mask: Mask = _HONG_KONG_WEIGHTS @ read(_HONG_KONG, codes) % 11 == 0
    return mask


def taiwan_checks(codes: Characters) -> Mask:
    """Whether the weighted sum of ten positions is a multiple of ten; letters count as the numbers of their cities."""
    first, others = read(_TAIWAN_FIRST, codes[:1]), read(_TAIWAN_OTHERS, codes[1:])
    mask: Mask = _TAIWAN_WEIGHTS @ np.concatenate([first, others]) % 10 == 0
    return mask
