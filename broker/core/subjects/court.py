"""Parses court codes, case numbers and mandates (法〔2015〕137号, in force since 2016).

A court's code determines its level and region, and is part of the numbers of all its cases. A mandate whose case number
names another court is refused, because a court may ask only in its own cases.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import category, normalize

from broker.errors import InvalidRequestError, Violation
from broker.model import Court, Level, Mandate

PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川黔云藏陕甘青宁新"
"""The one-character names of the 31 provincial-level regions of the mainland, as courts write them (黔, not 贵)."""
XPCC = "兵"
"""The Xinjiang Production and Construction Corps has its own courts, and counts as a region."""
SUPREME = "最高法"

_REGIONS = {name: name for name in PROVINCES + XPCC} | {"内": "蒙"}
"""Region by the first character of a court's code. Inner Mongolia is 蒙 on number plates but 内 in court codes."""
_LEVELS = {0: Level.HIGH, 2: Level.INTERMEDIATE, 4: Level.BASIC}
"""Level by the number of digits after the region."""
_CODE = f"{SUPREME}|[{''.join(_REGIONS)}](?:[0-9]{{2}}){{0,2}}"
_CODE_REMEDY = (
    "must be a court's code: 最高法, or a province's character with 0, 2 or 4 digits, such as 京, 京01 or 京0101"
)

ENFORCEMENT = {"执", "执恢", "执保", "执异", "执复", "执监", "执协"}
"""The types of case in which a court may ask: enforcement, its resumption, preservation, objection, review, supervision
and assistance."""
_EARLIEST_YEAR, _LATEST_YEAR = 1990, 2100
"""Enforcement cases older than the 1991 Civil Procedure Law are closed; later years are typing errors."""
_CASE = re.compile(
    rf"[(\[〔【](?P<year>[0-9]{{4}})[)\]〕】](?P<court>{_CODE})(?P<type>[\u4e00-\u9fff]{{1,6}})"
    r"(?P<serial>[0-9]{1,9})号(?P<suffix>(?:之[一二三四五六七八九十百]{1,6})?)"
)
_CASE_REMEDY = "must be a case number, such as （2026）京0101执123号"

_LONGEST_TEXT = 400
"""Characters of any field as sent, including blanks: twice the longest valid field. Bounds the cache of mandates."""


def parse_court(code: str) -> Court:
    """The court with this code. Accepts full-width digits and surrounding blanks.

    Raises:
        ValueError: the code is malformed.
    """
    code = normalize("NFKC", code).strip()
    if not re.fullmatch(_CODE, code):
        raise ValueError(_CODE_REMEDY)
    if code == SUPREME:
        return Court(code, Level.SUPREME, None)
    return Court(code, _LEVELS[len(code) - 1], _REGIONS[code[0]])


def reaches(court: Court, region: str | None) -> bool:
    """Whether a court may ask an institution of this region. `region` is None if the institution is national."""
    return region is None or court.level is Level.SUPREME or court.region == region


@dataclass(frozen=True, slots=True)
class CaseNumber:
    """The number of an enforcement case. `str()` gives the official spelling."""

    year: int
    court_code: str
    type: str
    serial: int
    suffix: str = ""
    """之一, 之二 and so on for later rulings in the same case. Usually empty."""

    def __str__(self) -> str:
        return f"（{self.year}）{self.court_code}{self.type}{self.serial}号{self.suffix}"


def parse_case_number(text: str) -> CaseNumber:
    """Parses a case number, whatever its brackets, character width and spacing.

    Raises:
        ValueError: this is not a case number, or not the number of an enforcement case.
    """
    match = _CASE.fullmatch("".join(normalize("NFKC", text).split()))
    if not match:
        raise ValueError(_CASE_REMEDY)
    case = CaseNumber(int(match["year"]), match["court"], match["type"], int(match["serial"]), match["suffix"])
    if not _EARLIEST_YEAR <= case.year <= _LATEST_YEAR:
        raise ValueError(f"must have a year from {_EARLIEST_YEAR} to {_LATEST_YEAR}: correct the year")
    if case.type not in ENFORCEMENT:
        raise ValueError(
            f"must be the number of an enforcement case ({' '.join(sorted(ENFORCEMENT))}): property may only be "
            "investigated for enforcement"
        )
    if not case.serial:
        raise ValueError("must have a serial number of at least 1: correct it")
    return case


# Cached by the strings as sent, because a court sends many batches under one mandate. The size allows for about one
# mandate for each of the country's 3,600 or so courts. Refusals raise, so only valid mandates are cached.
@lru_cache(maxsize=4096)
def read_mandate(court_code: str, officer: str, case_number: str, legal_document: str) -> Mandate:
    """Validates a mandate, and returns it with every field in its official spelling.

    Raises:
        InvalidRequestError: lists every invalid field, so that the caller can correct all of them at once.
    """
    violations: list[Violation] = []
    court = _read_court(court_code, violations)
    case = _read_case(case_number, court, violations)
    officer = _read_text("officer", officer, 100, violations)
    legal_document = _read_text("legal_document", legal_document, 200, violations)
    if violations or not court:
        raise InvalidRequestError(violations)
    return Mandate(court, officer, case, legal_document)


def _read_court(code: str, violations: list[Violation]) -> Court | None:
    try:
        return parse_court(_bounded(code))
    except ValueError as error:
        violations.append(Violation("mandate.court_code", str(error)))
        return None


def _read_case(text: str, court: Court | None, violations: list[Violation]) -> str:
    try:
        case = parse_case_number(_bounded(text))
    except ValueError as error:
        violations.append(Violation("mandate.case_number", str(error)))
        return ""
    if court and case.court_code != court.code:
        remedy = "must be a case of the court that asks: correct it or mandate.court_code"
        violations.append(Violation("mandate.case_number", remedy))
    return str(case)


def _read_text(field: str, text: str, longest: int, violations: list[Violation]) -> str:
    stripped = text.strip()
    if not stripped:
        remedy = "is required"
    elif len(stripped) > longest or len(text) > _LONGEST_TEXT:
        remedy = f"must have at most {longest} characters: shorten it"
    elif any(category(character) in {"Cc", "Cs"} for character in stripped):
        remedy = "must not contain control characters or line breaks: write it in one line"
    else:
        return stripped
    violations.append(Violation(f"mandate.{field}", remedy))
    return ""


def _bounded(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ValueError("is far too long: give only the code or number")
    return text
