"""The validation rule of each type of number, and the message for each way to break it.

Types with a published check digit are validated column by column over the whole batch (`checkdigits`). Other types are
validated by a regular expression, which is deliberately tolerant: refusing a valid number is worse than asking about an
invalid one.
"""

import re
from collections.abc import Callable
from datetime import date

import numpy as np

from broker.core.subjects import checkdigits as check
from broker.core.subjects.checkdigits import Characters, Mask
from broker.model import SubjectType

Reasons = dict[int, str]
"""Why a number is wrong, by its index in the batch."""
Rule = Callable[[list[str], date], Reasons]
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


def _residents(numbers: list[str], today: date) -> Reasons:
    fitting, codes = check.characters(numbers, 18)
    return _first_failures(BAD_LENGTH=fitting, **check_residents(codes, today))


def check_unified_codes(codes: Characters, _today: date) -> dict[str, Mask]:
    """GB 32100, for codes of 18 characters: which of them pass each check."""
    return _check_organizations(codes, np.False_)


def _check_organizations(codes: Characters, legacy: Mask | np.bool) -> dict[str, Mask]:
    inner = codes[8:17]
    return {
        "BAD_CHARACTER": check.organization_characters(inner) & (legacy | check.unified_characters(codes)),
        "BAD_CHECK_DIGIT": check.organization_checks(inner) & (legacy | check.unified_checks(codes)),
    }


def _organizations(numbers: list[str], _today: date) -> Reasons:
    """GB 32100: 18 characters. Characters 9 to 17 are the code of GB 11714, which older documents give alone."""
    legacy = check.lengths(numbers) == 9
    if legacy.any():  # move them to their positions in the longer code
        numbers = [f"{number:?>17}?" if len(number) == 9 else number for number in numbers]
    fitting, codes = check.characters(numbers, 18)
    return _first_failures(BAD_LENGTH=fitting, **_check_organizations(codes, legacy))


def _vins(numbers: list[str], _today: date) -> Reasons:
    """ISO 3779, with the check digit that GB 16735 makes mandatory."""
    fitting, codes = check.characters(numbers, 17)
    return _first_failures(
        BAD_LENGTH=fitting, BAD_CHARACTER=check.vin_characters(codes), BAD_CHECK_DIGIT=check.vin_checks(codes)
    )


def _bank_accounts(numbers: list[str], _today: date) -> Reasons:
    """Numbers of 16 to 19 digits are bank cards with a Luhn check digit; other lengths have no check digit."""
    widths = check.lengths(numbers)
    width = min(max(8, int(widths.max())), 32)
    _, codes = check.characters([number.rjust(width, "0") for number in numbers], width)
    return _first_failures(
        BAD_LENGTH=(widths >= 8) & (widths <= 32),
        BAD_CHARACTER=check.known(check.read(check.DIGITS, codes)),
        BAD_CHECK_DIGIT=(widths < 16) | (widths > 19) | check.luhn_checks(codes),
    )


def _shape(pattern: str) -> Rule:
    """The rule of a type without a published check digit: it must match this pattern."""
    matches = re.compile(pattern).fullmatch

    def rule(numbers: list[str], _today: date) -> Reasons:
        return {index: "BAD_SHAPE" for index, number in enumerate(numbers) if not matches(number)}

    return rule


_PLATE_PROVINCE = "[京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新]"
"""GA 36. One differs from the names that courts use (`court.PROVINCES`): 贵 here, 黔 there."""
_PLATE_CHARACTER = "[0-9A-HJ-NP-Z]"

RULES: dict[SubjectType, Rule] = {
    SubjectType.RESIDENT_ID: _residents,
    SubjectType.ORGANIZATION_CODE: _organizations,
    SubjectType.VEHICLE_VIN: _vins,
    SubjectType.BANK_ACCOUNT: _bank_accounts,
    SubjectType.PASSPORT: _shape("[0-9A-Z]{5,20}"),
    # 军字第01234567号, 武字第1234567号, or only the digits
    SubjectType.MILITARY_ID: _shape("[\u4e00-\u9fff]{0,8}[0-9]{4,18}号?"),
    SubjectType.HK_MACAO_PERMIT: _shape("[HM](?:[0-9]{8}|[0-9]{10})"),
    SubjectType.TAIWAN_PERMIT: _shape("[0-9]{8}|[0-9]{10}"),
    # GA 36: five characters, six on new-energy vehicles; special vehicles end in one Chinese character. Police cars
    # used to have the letter O, and some are still registered with it.
    SubjectType.VEHICLE_PLATE: _shape(
        f"{_PLATE_PROVINCE}[A-HJ-Z](?:{_PLATE_CHARACTER}{{5,6}}|{_PLATE_CHARACTER}{{4}}[学警挂港澳领使])"
    ),
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
        "BAD_REGION": "does not begin with a province's code: correct the first two digits",
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
        "BAD_CHECK_DIGIT": f"does not agree with its check digit, the 9th character: {_AS_PRINTED}",
    },
    SubjectType.BANK_ACCOUNT: {
        "BAD_LENGTH": f"must have 8 to 32 digits: {_COUNT}",
        "BAD_CHARACTER": "must be digits only: give one account, without letters, line breaks or the bank's name",
        "BAD_CHECK_DIGIT": f"is as long as a bank card's number but fails its check: {_AS_PRINTED}",
    },
    SubjectType.PASSPORT: {"BAD_SHAPE": f"must be 5 to 20 digits and letters: {_AS_PRINTED}"},
    SubjectType.MILITARY_ID: {
        "BAD_SHAPE": f"must be 4 to 18 digits, with the characters before them and 号 if there are any: {_AS_PRINTED}"
    },
    SubjectType.HK_MACAO_PERMIT: {"BAD_SHAPE": f"must be H or M and then 8 or 10 digits: {_AS_PRINTED}"},
    SubjectType.TAIWAN_PERMIT: {"BAD_SHAPE": f"must be 8 digits, or 10 with the issue number: {_AS_PRINTED}"},
    SubjectType.VEHICLE_PLATE: {
        "BAD_SHAPE": "must be the province's character, a letter, and 5 digits or letters (6 for new energy) without "
        f"I and O: {_AS_PRINTED}"
    },
    SubjectType.REAL_ESTATE_UNIT: {
        "BAD_SHAPE": f"must be the 28 characters of the unit number, not the certificate's number: {_AS_PRINTED}"
    },
    SubjectType.SECURITIES_ACCOUNT: {"BAD_SHAPE": f"must be 8 to 20 digits and letters: {_AS_PRINTED}"},
}
