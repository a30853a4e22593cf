"""Identity numbers: a bijection between ordinals and valid numbers.

People and organisations share one range of ordinals, the *population space*: first every resident identity of 31
provinces x 20 cities x 20 counties, born 1940 to 2009, then every organisation of the same counties.

Resident identities are on the hot path, so `resident_index` and `resident_id` have the batch versions
`resident_indices` and `resident_ids`.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import product

import numpy as np
from numpy.typing import NDArray

PROVINCES: dict[str, str] = {
    "11": "京", "12": "津", "13": "冀", "14": "晋", "15": "蒙", "21": "辽", "22": "吉", "23": "黑", "31": "沪",
    "32": "苏", "33": "浙", "34": "皖", "35": "闽", "36": "赣", "37": "鲁", "41": "豫", "42": "鄂", "43": "湘",
    "44": "粤", "45": "桂", "46": "琼", "50": "渝", "51": "川", "52": "贵", "53": "云", "54": "藏", "61": "陕",
    "62": "甘", "63": "青", "64": "宁", "65": "新",
}  # fmt: skip
"""GB/T 2260 province codes, and the one-character names with which number plates and court codes begin."""

FIRST_BIRTH, LAST_BIRTH = date(1940, 1, 1), date(2009, 12, 31)
BIRTHS = (LAST_BIRTH - FIRST_BIRTH).days + 1
SEQUENCES = 1000

DIVISIONS = tuple(
    f"{province}{city:02d}{county:02d}" for province, city, county in product(PROVINCES, range(1, 21), range(1, 21))
)
_DIVISION_PLACE = {division: place for place, division in enumerate(DIVISIONS)}

PERSONS = len(DIVISIONS) * BIRTHS * SEQUENCES
ORGANISATIONS = len(DIVISIONS) * 1_000_000
POPULATION = PERSONS + ORGANISATIONS

# GB 11643: the weights of the 17 digits, and the check character for each remainder modulo 11.
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"

# GB 11714: the weights of the 8 characters of an organisation code, and the check for each remainder modulo 11.
_LEGACY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_LEGACY_CHECKS = "0X987654321"
_LEGACY_VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}

# GB 32100: 31 characters, without I, O, S, V and Z; weights are the powers of 3 modulo 31.
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_CREDIT_VALUES = {character: value for value, character in enumerate(_CREDIT_ALPHABET)}


def division_place(division: str) -> int | None:
    """The ordinal of a county by its code, or None."""
    return _DIVISION_PLACE.get(division)


def is_digits(text: str) -> bool:
    """Whether `text` consists of the ASCII digits 0 to 9."""
    return text.isascii() and text.isdigit()


# --- resident identities (GB 11643) -----------------------------------------------------------------------------------


def resident_check(digits: str) -> str:
    """The check character of the first 17 digits of a resident identity."""
    total = sum(int(digit) * weight for digit, weight in zip(digits, _RESIDENT_WEIGHTS, strict=True))
    return _RESIDENT_CHECKS[total % 11]


def resident_id(index: int) -> str:
    """The resident identity number with ordinal `index`, 18 characters."""
    place, sequence = divmod(index, SEQUENCES)
    division, birth = divmod(place, BIRTHS)
    digits = f"{DIVISIONS[division]}{FIRST_BIRTH + timedelta(days=birth):%Y%m%d}{sequence:03d}"
    return digits + resident_check(digits)


def resident_index(number: str) -> int | None:
    """The ordinal of a resident identity; None if it is invalid or outside the population space."""
    place = _DIVISION_PLACE.get(number[:6])
    if place is None or not is_resident_id(number):
        return None
    birth = (_birth(number) - FIRST_BIRTH).days
    return (place * BIRTHS + birth) * SEQUENCES + int(number[14:17]) if 0 <= birth < BIRTHS else None


def is_resident_id(number: str) -> bool:
    """Whether `number` is a valid resident identity, inside the population space or not."""
    if len(number) != 18 or not is_digits(number[:17]) or resident_check(number[:17]) != number[17]:
        return False
    try:
        _birth(number)
    except ValueError:
        return False
    return True


def _birth(number: str) -> date:
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


# Multiplying the 17 digits by this matrix gives the fields of a number: county, day of birth as yyyymmdd, sequence, and
# check sum. It is in floating point, because only that is multiplied fast; all values are integers far below 2^53.
_FIELDS = np.zeros((17, 4))
for _field, (_start, _end) in enumerate(((0, 6), (6, 14), (14, 17))):
    _FIELDS[_start:_end, _field] = [10 ** (_end - place - 1) for place in range(_start, _end)]
_FIELDS[:, 3] = _RESIDENT_WEIGHTS

_OUTSIDE = -1
_DAYS = tuple(FIRST_BIRTH + timedelta(days=days) for days in range(BIRTHS))
_DAY_NUMBERS = np.array([day.year * 10_000 + day.month * 100 + day.day for day in _DAYS])  # yyyymmdd
_FIRST_DAY = int(_DAY_NUMBERS[0])


def _places(values: Sequence[int] | NDArray[np.int64], size: int) -> NDArray[np.int32]:
    """A table that maps a value to its index in `values`, or to `_OUTSIDE`."""
    places = np.full(size, _OUTSIDE, dtype=np.int32)
    places[values] = range(len(values))
    return places


_DIVISION_PLACES = _places([int(division) for division in DIVISIONS], 10**6)
# One more value than there are days, for everything that is not a day of birth.
_BIRTH_PLACES = _places(_DAY_NUMBERS - _FIRST_DAY, int(_DAY_NUMBERS[-1]) - _FIRST_DAY + 2)
_NO_BIRTH = np.uint64(len(_BIRTH_PLACES) - 1)

_CHECKS = np.frombuffer(_RESIDENT_CHECKS.encode() * (9 * sum(_RESIDENT_WEIGHTS) // 11 + 1), np.uint8)
"""The check character for each sum, not only for each remainder, because a lookup is faster than a division."""

_NOBODY = "0" * 18
_ZERO, _LINE_END = ord("0"), ord("\n")


def resident_indices(numbers: Sequence[str]) -> NDArray[np.int64]:
    """`resident_index` of many numbers; -1 for None."""
    characters = _characters(numbers)
    digits = characters[:, :17] - np.uint8(_ZERO)
    if digits.max(initial=0) > 9:
        digits[(digits > 9).any(axis=1)] = 0  # no county has the code 000000
    division, birth, sequence, total = (digits @ _FIELDS).T.astype(np.int64)
    # As unsigned integers, days before the first one are beyond the last one.
    birth = _BIRTH_PLACES[np.minimum((birth - _FIRST_DAY).view(np.uint64), _NO_BIRTH)]
    division = _DIVISION_PLACES[division]
    sound = (division | birth) >= 0
    sound &= _CHECKS[total] == characters[:, 17]
    indices: NDArray[np.int64] = (division.astype(np.int64) * BIRTHS + birth) * SEQUENCES + sequence
    return indices if sound.all() else np.where(sound, indices, _OUTSIDE)


def _characters(numbers: Sequence[str]) -> NDArray[np.uint8]:
    """One row of 18 characters for each number; zeros for numbers of another length."""
    lines = _lines(numbers)
    # If all numbers have 18 characters, every 19th character is a line end.
    if lines.size != 19 * len(numbers) or (lines.reshape(-1, 19)[:, 18] != _LINE_END).any():
        lines = _lines([number if len(number) == 18 else _NOBODY for number in numbers])
    return lines.reshape(-1, 19)[:, :18]


def _lines(numbers: Sequence[str]) -> NDArray[np.uint8]:
    """All numbers, each followed by a line end, one byte per character. Non-ASCII characters become question marks."""
    text = "\n".join(numbers)
    if text.count("\n") >= len(numbers):  # then there is one inside a number
        text = "\n".join([number.replace("\n", "?") for number in numbers])
    return np.frombuffer(f"{text}\n".encode("ascii", "replace") if numbers else b"", np.uint8)


def resident_ids(indices: NDArray[np.int64]) -> list[str]:
    """`resident_id` of many ordinals."""
    places, sequence = np.divmod(indices, SEQUENCES)
    division, birth = np.divmod(places, BIRTHS)
    characters = np.empty((len(indices), 18), np.uint8)
    characters[:, :6] = _DIVISION_CHARACTERS[division]
    characters[:, 6:14] = _DAY_CHARACTERS[birth]
    characters[:, 14:17] = _SEQUENCE_CHARACTERS[sequence]
    # A product in floating point, as above.
    total = ((characters[:, :17] - np.uint8(_ZERO)) @ _FIELDS[:, 3]).astype(np.int64)
    characters[:, 17] = _CHECKS[total]
    text = characters.tobytes().decode("ascii")
    return [text[start : start + 18] for start in range(0, len(text), 18)]


def _rows(texts: Sequence[str]) -> NDArray[np.uint8]:
    """One row of characters for each of several ASCII texts of equal length."""
    return np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(len(texts), -1)


_DIVISION_CHARACTERS = _rows(DIVISIONS)
_DAY_CHARACTERS = _rows([f"{day:%Y%m%d}" for day in _DAYS])
_SEQUENCE_CHARACTERS = _rows([f"{sequence:03d}" for sequence in range(SEQUENCES)])


def _spouse_endings() -> dict[str, str]:
    """Maps the last two characters of a resident identity (sequence digit and check) to those of the spouse.

    The spouse's sequence has the other last digit. Its weight is 2, so the remainder changes by 2 as well.
    """
    endings = {}
    for digit, remainder in product(range(10), range(11)):
        moved = (remainder + 2 * ((digit ^ 1) - digit)) % 11
        endings[f"{digit}{_RESIDENT_CHECKS[remainder]}"] = f"{digit ^ 1}{_RESIDENT_CHECKS[moved]}"
    return endings


_SPOUSE_ENDINGS = _spouse_endings()


def spouse_id(number: str) -> str:
    """The resident identity of the person with the ordinal `index ^ 1`."""
    return number[:16] + _SPOUSE_ENDINGS[number[16:]]


# --- organisations (GB 32100 around GB 11714) -------------------------------------------------------------------------


def legacy_check(code: str) -> str:
    """The check character of the first 8 characters of an organisation code."""
    total = sum(_LEGACY_VALUES[character] * weight for character, weight in zip(code, _LEGACY_WEIGHTS, strict=True))
    return _LEGACY_CHECKS[total % 11]


def credit_check(code: str) -> str:
    """The check character of the first 17 characters of a unified social credit code."""
    total = sum(_CREDIT_VALUES[character] * weight for character, weight in zip(code, _CREDIT_WEIGHTS, strict=True))
    return _CREDIT_ALPHABET[-total % 31]


def organisation_code(index: int) -> str:
    """The unified social credit code of the organisation with ordinal `index`: a company (91), 18 characters."""
    place, serial = divmod(index - PERSONS, 1_000_000)
    organisation = f"MA{serial:06d}"
    code = f"91{DIVISIONS[place]}{organisation}{legacy_check(organisation)}"
    return code + credit_check(code)


def organisation_index(code: str) -> int | None:
    """The ordinal of a unified social credit code; None if it is invalid, or outside the population space."""
    place = _DIVISION_PLACE.get(code[2:8])
    if place is None or not is_digits(code[10:16]):
        return None
    index = PERSONS + place * 1_000_000 + int(code[10:16])
    return index if organisation_code(index) == code else None


def is_organisation_code(code: str) -> bool:
    """Whether `code` is a valid unified social credit code, or a valid organisation code of 9 characters."""
    try:
        match len(code):
            case 9:
                return legacy_check(code[:8]) == code[8]
            case 18:
                return credit_check(code[:17]) == code[17]
            case _:
                return False
    except KeyError:
        return False
