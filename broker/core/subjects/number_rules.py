"""The validation rule of each type of number, and the message for each way to break it.

Types with a published check digit are validated column by column over the whole batch (`checkdigits`). Other types are
validated by a regular expression. Both refuse only what is impossible, because refusing a valid number is worse than
asking about an invalid one. If a number fails a check that some valid numbers fail, the rule only warns.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import numpy as np

from broker.core.subjects import checkdigits as check
from broker.core.subjects import plates
from broker.core.subjects.checkdigits import Characters, Mask
from broker.model import SubjectType

Reasons = dict[int, str]
"""What is wrong with a number, by its index in the batch."""


class Verdicts(NamedTuple):
    """What a rule finds in a batch. A number has at most one of the two."""

    faults: Reasons
    """Of numbers that are impossible."""
    warnings: Reasons
    """Of numbers that fail a check which some valid numbers fail."""


Rule = Callable[[list[str], date], Verdicts]
"""Validates numbers of one type, already normalised to half-width and upper case. The date is today's."""

_REGIONS = np.isin(np.arange(100), [*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55),
                                    *range(61, 66), 71, 81, 82, 83])  # fmt: skip
"""GB/T 2260's provinces, and 71 and 81 to 83: residence permits for residents of Taiwan, Hong Kong and Macao."""


def _first_failures(**passed: Mask) -> Reasons:
    """The first failed check of each number that fails any. Each mask says which numbers pass."""
    reasons: Reasons = {}
    for reason, mask in reversed(passed.items()):
        reasons |= dict.fromkeys(np.flatnonzero(~mask).tolist(), reason)
    return reasons


def _faults(**passed: Mask) -> Verdicts:
    """The verdicts of a rule that warns of nothing."""
    return Verdicts(_first_failures(**passed), {})


def _with_warnings(faults: Reasons, **passed: Mask) -> Verdicts:
    """The verdicts of a rule that warns of the first failed check of each number without a fault."""
    failures = _first_failures(**passed)
    return Verdicts(faults, {index: reason for index, reason in failures.items() if index not in faults})


def _matching(pattern: str, numbers: list[str]) -> Mask:
    """Which numbers match this pattern as a whole."""
    matches = re.compile(pattern).fullmatch
    return np.fromiter((matches(number) is not None for number in numbers), np.bool_, len(numbers))


def check_residents(codes: Characters, today: date) -> dict[str, Mask]:
    """GB 11643, for numbers of 18 characters: which of them pass each check.

    The specific checks come before the check digit, because their messages say better what to correct.
    """
    values = check.read(check.ELEVEN, codes)
    return {
        "BAD_CHARACTER": check.resident_characters(values),
        "BAD_REGION": _REGIONS.take(np.array([10, 1]) @ values[:2], mode="clip"),
        "BAD_BIRTH_DATE": check.birth_dates(values[6:14], today),
        "BAD_CHECK_DIGIT": check.resident_check(values) == values[17],
    }


def _residents(numbers: list[str], today: date) -> Verdicts:
    fitting, codes = check.characters(numbers, 18)
    return _faults(BAD_LENGTH=fitting, **check_residents(codes, today))


def _permanent_residents(numbers: list[str], today: date) -> Verdicts:
    """Numbers of 2023: like residents' numbers, but with a 9, the place of application and the country in front.

    The older numbers consist of the country's three letters and twelve digits. No check digit is published for them.
    """
    older = _matching("[A-Z]{3}[0-9]{12}", numbers)
    newer = _matching("9[0-9]{16}[0-9X]", numbers)
    _, codes = check.characters(numbers, 18)
    values = check.read(check.ELEVEN, codes)
    return _faults(
        BAD_SHAPE=older | newer,
        BAD_BIRTH_DATE=older | check.birth_dates(values[6:14], today),
        BAD_CHECK_DIGIT=older | (check.resident_check(values) == values[17]),
    )


def _hong_kong_ids(numbers: list[str], _today: date) -> Verdicts:
    """One or two letters, six digits, and the check digit, which may be A."""
    _, codes = check.characters([number.rjust(9) for number in numbers], 9)
    return _faults(
        BAD_SHAPE=_matching("[A-Z]{1,2}[0-9]{6}[0-9A]", numbers), BAD_CHECK_DIGIT=check.hong_kong_checks(codes)
    )


def _taiwan_ids(numbers: list[str], _today: date) -> Verdicts:
    """A letter and nine digits. In resident certificates until 2020, the first of them is a letter from A to D."""
    _, codes = check.characters(numbers, 10)
    return _faults(BAD_SHAPE=_matching("[A-Z][1289A-D][0-9]{8}", numbers), BAD_CHECK_DIGIT=check.taiwan_checks(codes))


def check_unified_codes(codes: Characters, _today: date) -> dict[str, Mask]:
    """GB 32100, for codes of 18 characters: which of them pass each check."""
    return _check_organizations(codes, np.False_)


def _check_organizations(codes: Characters, legacy: Mask | np.bool) -> dict[str, Mask]:
    inner = codes[8:17]
    return {
        "BAD_CHARACTER": check.organization_characters(inner) & (legacy | check.unified_characters(codes)),
        "BAD_CHECK_DIGIT": check.organization_checks(inner) & (legacy | check.unified_checks(codes)),
    }


def _organizations(numbers: list[str], _today: date) -> Verdicts:
    """GB 32100: 18 characters. Characters 9 to 17 are the code of GB 11714, which older documents give alone."""
    legacy = check.lengths(numbers) == 9
    if legacy.any():  # move them to their positions in the longer code
        numbers = [f"{number:?>17}?" if len(number) == 9 else number for number in numbers]
    fitting, codes = check.characters(numbers, 18)
    return _faults(BAD_LENGTH=fitting, **_check_organizations(codes, legacy))


def _vins(numbers: list[str], _today: date) -> Verdicts:
    """ISO 3779. Only GB 16735 makes the check digit mandatory, so imports and older cars may have none."""
    fitting, codes = check.characters(numbers, 17)
    faults = _first_failures(BAD_LENGTH=fitting, BAD_CHARACTER=check.vin_characters(codes))
    return _with_warnings(faults, BAD_CHECK_DIGIT=check.vin_checks(codes))


def _bank_accounts(numbers: list[str], _today: date) -> Verdicts:
    """Numbers of 16 to 19 digits are mostly cards with a Luhn check digit, but some accounts and cards have none.

    Letters in front mark accounts of non-residents and of free-trade zones; their digits are an account's.
    """
    if not "".join(numbers).isdigit():
        numbers = [_account_mark("", number) for number in numbers]
    widths = check.lengths(numbers)
    width = min(max(8, int(widths.max())), 32)
    _, codes = check.characters([number.rjust(width, "0") for number in numbers], width)
    faults = _first_failures(
        BAD_LENGTH=(widths >= 8) & (widths <= 32), BAD_CHARACTER=check.known(check.read(check.DIGITS, codes))
    )
    return _with_warnings(faults, BAD_CHECK_DIGIT=(widths < 16) | (widths > 19) | check.luhn_checks(codes))


_account_mark = re.compile("^(?:NRA|OSA|FT[EFINU])").sub
"""NRA: non-residents' accounts at banks in the mainland; OSA: offshore accounts; FT: accounts of the free-trade zones'
separate accounting units."""


def _shape(pattern: str) -> Rule:
    """The rule of a type without a published check digit: it must match this pattern."""

    def rule(numbers: list[str], _today: date) -> Verdicts:
        return _faults(BAD_SHAPE=_matching(pattern, numbers))

    return rule


RULES: dict[SubjectType, Rule] = {
    SubjectType.RESIDENT_ID: _residents,
    SubjectType.ORGANIZATION_CODE: _organizations,
    SubjectType.VEHICLE_VIN: _vins,
    SubjectType.BANK_ACCOUNT: _bank_accounts,
    SubjectType.PASSPORT: _shape("[0-9A-Z]{5,20}"),
    # 军字第01234567号, 武字第1234567号, 士字第P011816X号, with or without 字第 and 号, or only the number
    SubjectType.MILITARY_ID: _shape(
        "[\u4e00-\u9fff]{1,8}(?=(?:[A-Z]*[0-9]){4})[0-9A-Z]{4,18}号?|[A-Z]{0,2}[0-9]{4,18}[A-Z]?号?"
    ),
    # The holder's number, then how often the permit was issued anew; HA and MA: holders who are not Chinese citizens.
    SubjectType.HK_MACAO_PERMIT: _shape("[HM](?:[0-9]{8}|[0-9]{10}|[A-Z][0-9]{7})"),
    # The holder's number, then until 2008 how often it was issued and by whom: 0123456701(B)
    SubjectType.TAIWAN_PERMIT: _shape("[0-9]{8}|[0-9]{10}[0-9A-Z]{0,2}"),
    SubjectType.FOREIGN_PERMANENT_RESIDENT: _permanent_residents,
    SubjectType.HONG_KONG_ID: _hong_kong_ids,
    SubjectType.MACAO_ID: _shape("[0-9]{8}"),
    SubjectType.TAIWAN_ID: _taiwan_ids,
    SubjectType.VEHICLE_PLATE: _shape(plates.PATTERN),
    # county, cadastral district and sub-district, kind of parcel, parcel, kind of structure, structure
    SubjectType.REAL_ESTATE_UNIT: _shape("[0-9]{6}[0-9]{3}[0-9]{3}[A-Z]{2}[0-9]{5}[A-Z][0-9]{8}"),
    SubjectType.SECURITIES_ACCOUNT: _shape("[0-9A-Z]{8,20}"),
}

_COUNT = "add what is missing or drop what is extra"
_AS_PRINTED = "compare it with the document, character by character"
MESSAGES: dict[SubjectType, dict[str, str]] = {
    SubjectType.RESIDENT_ID: {
        "BAD_LENGTH": f"must have 18 characters, or 15 digits in its older form: {_COUNT}",
        "BAD_CHARACTER": "must be 17 digits and then a digit or X: look for letters typed for digits, such as O for 0",
        "BAD_REGION": "does not begin with a province's code: correct the first two digits; numbers that begin with 9 "
        "are of the type FOREIGN_PERMANENT_RESIDENT",
        "BAD_BIRTH_DATE": "has no possible date of birth at characters 7 to 14: correct them",
        "BAD_CHECK_DIGIT": f"does not agree with its check digit, the last character: {_AS_PRINTED}",
    },
    SubjectType.ORGANIZATION_CODE: {
        "BAD_LENGTH": f"must have 18 characters (unified social credit code) or 9 (organisation code): {_COUNT}",
        "BAD_CHARACTER": "has a character that is not allowed where it is (18-character codes have no I, O, S, V or Z, "
        f"and only digits at positions 3 to 8): {_AS_PRINTED}",
        "BAD_CHECK_DIGIT": f"does not agree with its check digits: {_AS_PRINTED}",
    },
    SubjectType.VEHICLE_VIN: {
        "BAD_LENGTH": f"must have 17 characters: {_COUNT}",
        "BAD_CHARACTER": "must be digits and letters without I, O and Q: type 1 for I and 0 for O and Q",
        "BAD_CHECK_DIGIT": "does not agree with its check digit, the 9th character, which imported and older cars may "
        f"not have: {_AS_PRINTED}",
    },
    SubjectType.BANK_ACCOUNT: {
        "BAD_LENGTH": f"must have 8 to 32 digits: {_COUNT}",
        "BAD_CHARACTER": "must be digits, after NRA, OSA or FT with a letter for accounts so marked: give one account, "
        "without the bank's name",
        "BAD_CHECK_DIGIT": f"is as long as a card's number but fails the check that most cards pass: {_AS_PRINTED}",
    },
    SubjectType.PASSPORT: {"BAD_SHAPE": f"must be 5 to 20 digits and letters: {_AS_PRINTED}"},
    SubjectType.MILITARY_ID: {
        "BAD_SHAPE": "must be 4 to 18 digits and letters, with the characters before them and 号 if there are any: "
        f"{_AS_PRINTED}"
    },
    SubjectType.HK_MACAO_PERMIT: {
        "BAD_SHAPE": "must be H or M and then 8 digits, or 10 with the issue number (identity cards have other types): "
        f"{_AS_PRINTED}"
    },
    SubjectType.TAIWAN_PERMIT: {
        "BAD_SHAPE": "must be 8 digits, or 10 with the issue number and the issuing office's letter (identity cards "
        f"have another type): {_AS_PRINTED}"
    },
    SubjectType.FOREIGN_PERMANENT_RESIDENT: {
        "BAD_SHAPE": f"must be 18 characters beginning with 9, or 3 letters and 12 digits: {_AS_PRINTED}",
        "BAD_BIRTH_DATE": "has no possible date of birth at characters 7 to 14: correct them",
        "BAD_CHECK_DIGIT": f"does not agree with its check digit, the last character: {_AS_PRINTED}",
    },
    SubjectType.HONG_KONG_ID: {
        "BAD_SHAPE": f"must be 1 or 2 letters, 6 digits and the check digit: {_AS_PRINTED}",
        "BAD_CHECK_DIGIT": f"does not agree with its check digit, the one in brackets: {_AS_PRINTED}",
    },
    SubjectType.MACAO_ID: {"BAD_SHAPE": f"must be 8 digits, including the one in brackets: {_AS_PRINTED}"},
    SubjectType.TAIWAN_ID: {
        "BAD_SHAPE": f"must be a letter and 9 digits, or 2 letters and 8 digits: {_AS_PRINTED}",
        "BAD_CHECK_DIGIT": f"does not agree with its check digit, the last one: {_AS_PRINTED}",
    },
    SubjectType.VEHICLE_PLATE: {
        "BAD_SHAPE": "must be the province's character, a letter, and 5 digits or letters (6 for new energy) without "
        f"I and O, or the plate of a special vehicle: {_AS_PRINTED}"
    },
    SubjectType.REAL_ESTATE_UNIT: {
        "BAD_SHAPE": f"must be the 28 characters of the unit number, not the certificate's number: {_AS_PRINTED}"
    },
    SubjectType.SECURITIES_ACCOUNT: {"BAD_SHAPE": f"must be 8 to 20 digits and letters: {_AS_PRINTED}"},
}
