"""The numbers of things. A thing's *slot* is its ordinal, and a keyed permutation maps slots to numbers.

Numbers look random, have valid check digits, and can be mapped back to the slot without a table: the permutation is
inverted, and the number is then compared with the numbers of the slot.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mock_institutions.mixing import mixed, mixed_all
from mock_institutions.numbers import DIVISIONS, POPULATION, PROVINCES, division_place, is_digits
from mock_institutions.records import Kind, SubjectType

SLOTS_EACH = 2
"""The maximum number of things that one identity can own at one institution."""
SLOTS = POPULATION * SLOTS_EACH

MILLION = 10**6
"""Twelve digits, in two halves below a million, are enough for the 6.6 x 10^11 slots."""

_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
"""ISO 3779 and GB 16735. Position 9 is the check digit."""
_VIN_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "012345678912345678123457923456789"), strict=True))

_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # I and O are not used: they look like digits
_PLATE_SYMBOLS = "0123456789" + _PLATE_LETTERS

Tracer = Callable[[str], int | None]
"""Maps a number to its slot; None if no slot has it."""


Ordinals = NDArray[np.uint64]
Characters = NDArray[np.uint8]
Columns = tuple[list[bytes], ...]
"""A column for each of a thing's numbers, in UTF-8."""


class NumberSystem(Protocol):
    """The numbers of one kind of thing."""

    @property
    def tracers(self) -> Mapping[SubjectType, Tracer]:
        """One tracer for each type of number by which a thing can be looked up."""
        ...

    def of(self, slot: int) -> tuple[str, ...]:
        """All numbers of a slot: first those of `tracers`, in the same order."""
        ...

    def of_all(self, slots: Ordinals) -> Columns:
        """`of` for many slots: a column for each number."""
        ...


class Permutation:
    """A keyed bijection of [0, high * low): a Feistel network whose halves are numbers below `high` and below `low`.

    Each round adds a hash of one half to the other half, so it can be inverted. With fewer than three rounds, the low
    halves of neighbours would remain neighbours.
    """

    def __init__(self, high: int, low: int, key: int) -> None:
        self._high, self._low = high, low
        self._keys = tuple(mixed(key ^ round_number) for round_number in range(3))
        self._constants = tuple(map(np.uint64, self._keys)), np.uint64(high), np.uint64(low)

    def scatter(self, ordinal: int) -> int:
        """The image of `ordinal`."""
        first, second, third = self._keys
        high, low = divmod(ordinal, self._low)
        low = (low + mixed(high ^ first) % self._low) % self._low
        high = (high + mixed(low ^ second) % self._high) % self._high
        low = (low + mixed(high ^ third) % self._low) % self._low
        return high * self._low + low

    def gather(self, image: int) -> int:
        """The ordinal with this image."""
        first, second, third = self._keys
        high, low = divmod(image, self._low)
        low = (low - mixed(high ^ third)) % self._low
        high = (high - mixed(low ^ second)) % self._high
        low = (low - mixed(high ^ first)) % self._low
        return high * self._low + low

    def scatter_all(self, ordinals: Ordinals) -> Ordinals:
        """`scatter` for many ordinals."""
        (first, second, third), high_size, low_size = self._constants
        high, low = np.divmod(ordinals, low_size)
        low += mixed_all(high ^ first) % low_size
        low %= low_size
        high += mixed_all(low ^ second) % high_size
        high %= high_size
        low += mixed_all(high ^ third) % low_size
        low %= low_size
        high *= low_size
        high += low
        return high


# --- columns of characters, one byte each ---------------------------------------------------------------------------


_TEN_THOUSAND = np.uint64(10_000)
_GROUPS = np.frombuffer("".join(f"{group:04d}" for group in range(10_000)).encode(), np.uint32)
"""The four digits of every number below ten thousand."""


def _twelve(values: Ordinals) -> NDArray[np.uint64]:
    """The twelve decimal digits of each value, in three groups of four."""
    millions, last = np.divmod(values, _TEN_THOUSAND)
    return np.stack((*np.divmod(millions, _TEN_THOUSAND), last), axis=1)


def _eight(values: Ordinals) -> NDArray[np.uint64]:
    """The eight decimal digits of each value, in two groups of four."""
    return np.stack(np.divmod(values, _TEN_THOUSAND), axis=1)


def _characters(groups: NDArray[np.uint64]) -> Characters:
    """The digits of rows of four-digit groups, one row of characters each."""
    return _GROUPS[groups].view(np.uint8)


def _alphabet(symbols: str) -> Characters:
    return np.frombuffer(symbols.encode(), np.uint8)


def _numbers(rows: int, *parts: str | Characters) -> list[bytes]:
    """Joins numbers from constant texts and columns, which have one row of characters per number."""
    widths = [len(part) if isinstance(part, str) else part.shape[1] for part in parts]
    whole = np.empty((rows, sum(widths)), np.uint8)
    end = 0
    for part, width in zip(parts, widths, strict=True):
        start, end = end, end + width
        whole[:, start:end] = _alphabet(part) if isinstance(part, str) else part
    numbers: list[bytes] = whole.view(f"S{end}")[:, 0].tolist()
    return numbers


_DIGITS = _alphabet("0123456789")
_DIGITS_OF_GROUP = (_GROUPS.view(np.uint8).reshape(-1, 4) - _DIGITS[0]).astype(np.int64)
_DIVISION_CHARACTERS = _alphabet("".join(DIVISIONS)).reshape(-1, 6)


_PAIRS = _alphabet("".join(map("".join, product(_PLATE_SYMBOLS, repeat=2)))).reshape(-1, 2)
_TWO_SYMBOLS = np.uint64(34**2)
_FOUR_SYMBOLS = np.uint64(34**4)

# --- the number systems ---------------------------------------------------------------------------------------------


# Luhn: every second digit is doubled, starting next to the check digit, and all resulting digits are added.
_DOUBLED = np.array((0, 2, 4, 6, 8, 1, 3, 5, 7, 9))
_LUHN_OF_GROUP = _DIGITS_OF_GROUP[:, ::2].sum(axis=1) + _DOUBLED[_DIGITS_OF_GROUP[:, 1::2]].sum(axis=1)
"""What a group of four digits adds to the sum, if it starts at an even position."""


def _luhn_sum(digits: str) -> int:
    """The sum for an even number of digits before the check digit."""
    return sum(
        int(digit) * 2 // 10 + int(digit) * 2 % 10 if index % 2 else int(digit) for index, digit in enumerate(digits)
    )


# The twelve digits of a vehicle's number are at positions 4 to 8 and 11 to 17.
_VIN_DIGIT_WEIGHTS = np.array((*_VIN_WEIGHTS[3:8], *_VIN_WEIGHTS[10:]))
_VIN_SUMS_OF_GROUP = tuple(_DIGITS_OF_GROUP @ weights for weights in _VIN_DIGIT_WEIGHTS.reshape(3, 4))
_VIN_CHECKS = _alphabet("0123456789X")


class AccountNumbers:
    """Bank accounts: the bank's 6-digit identification number, 12 digits, and the Luhn check digit."""

    def __init__(self, key: int) -> None:
        self._permutation = Permutation(MILLION, MILLION, key)
        # The identification numbers of Chinese banks begin with 62.
        self._prefix = f"62{key % 10_000:04d}"
        self._prefix_sum = _luhn_sum(self._prefix)
        self.tracers: Mapping[SubjectType, Tracer] = {"BANK_ACCOUNT": self._slot}

    def of(self, slot: int) -> tuple[str]:
        """The account number of a slot, 19 digits."""
        digits = f"{self._prefix}{self._permutation.scatter(slot):012d}"
        return (f"{digits}{-_luhn_sum(digits) % 10}",)

    def of_all(self, slots: Ordinals) -> Columns:
        """`of` for many slots."""
        groups = _twelve(self._permutation.scatter_all(slots))
        total = _LUHN_OF_GROUP[groups].sum(axis=1) + self._prefix_sum
        return (_numbers(len(slots), self._prefix, _characters(groups), _DIGITS[-total % 10][:, None]),)

    def _slot(self, number: str) -> int | None:
        return _confirmed(self, self._permutation, number, number[6:18])


class SecuritiesNumbers:
    """Securities accounts: A and 12 digits."""

    def __init__(self, key: int) -> None:
        self._permutation = Permutation(MILLION, MILLION, key)
        self.tracers: Mapping[SubjectType, Tracer] = {"SECURITIES_ACCOUNT": self._slot}

    def of(self, slot: int) -> tuple[str]:
        """The securities account number of a slot, 13 characters."""
        return (f"A{self._permutation.scatter(slot):012d}",)

    def of_all(self, slots: Ordinals) -> Columns:
        """`of` for many slots."""
        return (_numbers(len(slots), "A", _characters(_twelve(self._permutation.scatter_all(slots)))),)

    def _slot(self, number: str) -> int | None:
        return _confirmed(self, self._permutation, number, number[1:])


class VehicleNumbers:
    """Vehicles: a plate of 8 characters, and an identification number of 17. Both map to the same slot."""

    # A Chinese maker's code, and the model year at position 10. All other positions except the check digit are digits.
    _MAKER, _YEAR = "LZM", "L"
    _PROVINCES = "".join(PROVINCES.values())
    # The first two characters of a plate: four bytes in UTF-8.
    _openings = _alphabet("".join(map("".join, product(_PROVINCES, _PLATE_LETTERS)))).reshape(-1, 4)

    def __init__(self, key: int) -> None:
        # In mixed radix: province, letter and two symbols, then four symbols.
        self._plates = Permutation(len(PROVINCES) * len(_PLATE_LETTERS) * 34**2, 34**4, key)
        self._vins = Permutation(MILLION, MILLION, mixed(key))
        fixed = zip(self._MAKER + self._YEAR, (*_VIN_WEIGHTS[:3], _VIN_WEIGHTS[9]), strict=True)
        self._fixed_sum = sum(_VIN_VALUES[letter] * weight for letter, weight in fixed)
        self.tracers: Mapping[SubjectType, Tracer] = {
            "VEHICLE_PLATE": self._slot_of_plate,
            "VEHICLE_VIN": self._slot_of_vin,
        }

    def of(self, slot: int) -> tuple[str, str]:
        """Plate and identification number of a slot."""
        return self._plate(self._plates.scatter(slot)), self._vin(self._vins.scatter(slot))

    def of_all(self, slots: Ordinals) -> Columns:
        """`of` for many slots."""
        plates = self._all_plates(self._plates.scatter_all(slots))
        groups = _twelve(self._vins.scatter_all(slots))
        total = sum(weighted[group] for weighted, group in zip(_VIN_SUMS_OF_GROUP, groups.T, strict=True))
        check = _VIN_CHECKS[(total + self._fixed_sum) % 11][:, None]
        digits = _characters(groups)
        return plates, _numbers(len(slots), self._MAKER, digits[:, :5], check, self._YEAR, digits[:, 5:])

    def _all_plates(self, places: Ordinals) -> list[bytes]:
        places, last = np.divmod(places, _FOUR_SYMBOLS)
        places, middle = np.divmod(places, _TWO_SYMBOLS)
        openings = self._openings[places]
        return _numbers(
            len(places), openings, _PAIRS[middle], _PAIRS[last // _TWO_SYMBOLS], _PAIRS[last % _TWO_SYMBOLS]
        )

    def _plate(self, place: int) -> str:
        symbols = ""
        for _ in range(6):
            place, symbol = divmod(place, len(_PLATE_SYMBOLS))
            symbols = _PLATE_SYMBOLS[symbol] + symbols
        province, letter = divmod(place, len(_PLATE_LETTERS))
        return self._PROVINCES[province] + _PLATE_LETTERS[letter] + symbols

    def _vin(self, place: int) -> str:
        digits = f"{place:012d}"
        weighted = sum(int(digit) * weight for digit, weight in zip(digits, _VIN_DIGIT_WEIGHTS.tolist(), strict=True))
        total = self._fixed_sum + weighted
        return f"{self._MAKER}{digits[:5]}{'0123456789X'[total % 11]}{self._YEAR}{digits[5:]}"

    def _slot_of_plate(self, plate: str) -> int | None:
        try:
            place = self._PROVINCES.index(plate[0]) * len(_PLATE_LETTERS) + _PLATE_LETTERS.index(plate[1])
            for symbol in plate[2:]:
                place = place * len(_PLATE_SYMBOLS) + _PLATE_SYMBOLS.index(symbol)
        except (ValueError, IndexError):
            return None
        if len(plate) != 8:
            return None
        slot = self._plates.gather(place)
        return slot if slot < SLOTS and self.of(slot)[0] == plate else None

    def _slot_of_vin(self, vin: str) -> int | None:
        return _confirmed(self, self._vins, vin, vin[3:8] + vin[10:])


class RealEstateNumbers:
    """Real estate: the cadastre's 28-character unit number, and the 8-digit serial of its certificate.

    A unit number is county (6), cadastral area (3), sub-area (3), parcel kind GB, parcel (5), F for a house, and
    building and unit (4 each). The county, four digits of the parcel and the unit vary.
    """

    def __init__(self, key: int) -> None:
        self._permutation = Permutation(len(DIVISIONS) * 100, MILLION, key)
        self.tracers: Mapping[SubjectType, Tracer] = {"REAL_ESTATE_UNIT": self._slot}

    def of(self, slot: int) -> tuple[str, str]:
        """Unit number and certificate serial of a slot."""
        county, serial = divmod(self._permutation.scatter(slot), 10**8)
        digits = f"{serial:08d}"
        return f"{DIVISIONS[county]}001001GB0{digits[:4]}F0001{digits[4:]}", digits

    def of_all(self, slots: Ordinals) -> Columns:
        """`of` for many slots."""
        counties, serials = np.divmod(self._permutation.scatter_all(slots), np.uint64(10**8))
        serial = _characters(_eight(serials))
        parcel, unit = serial[:, :4], serial[:, 4:]
        units = _numbers(len(slots), _DIVISION_CHARACTERS[counties], "001001GB0", parcel, "F0001", unit)
        return units, _numbers(len(slots), serial)

    def _slot(self, number: str) -> int | None:
        county = division_place(number[:6])
        return (
            None
            if county is None
            else _confirmed(self, self._permutation, number, f"{county}{number[15:19]}{number[24:]}")
        )


def number_system(kind: Kind, key: int) -> NumberSystem:
    """The numbers of one institution's things. `key`: 64 bits."""
    return _SYSTEMS[kind](key)


_SYSTEMS: dict[Kind, Callable[[int], NumberSystem]] = {
    "bank": AccountNumbers,
    "vehicle": VehicleNumbers,
    "securities": SecuritiesNumbers,
    "real_estate": RealEstateNumbers,
}


def _confirmed(system: NumberSystem, permutation: Permutation, number: str, digits: str) -> int | None:
    """The slot of `digits`, if the whole number, with its check digits, is one of that slot's numbers."""
    if not is_digits(digits):
        return None
    slot = permutation.gather(int(digits))
    return slot if slot < SLOTS and number in system.of(slot) else None
