"""Parses the numbers of enforcement cases: those of 法〔2015〕137号, in force since 2016, and the older ones.

    since 2016    （2026）京0101执恢123号之一      year, court's code, type, serial number, suffix
    until 2015    （2003）皖1202执字第00174号      the court's code or its *sign*, type, 字第, serial number
                  （2015）瑶执字第02181号          瑶 is the sign of 合肥市瑶海区人民法院

Cases from before 2016 are still open, and are inquired about again. Signs were abbreviations of places, which several
courts may share, and nobody has published a list of them: the configuration says which courts used which.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from string import ascii_uppercase
from unicodedata import normalize

from broker.core.subjects.court import CODE, SUPREME
from broker.core.subjects.name_marks import CLOSING_BRACKETS, HYPHENS, OPENING_BRACKETS

ENFORCEMENT = frozenset({"执", "执恢", "执保", "执异", "执复", "执监", "执协", "执他"})
"""The types of enforcement case (法〔2015〕137号, 人民法院案件类型及其代字标准, 执行案件): first enforcement,
resumption, preservation, objection, review, supervision, coordination, and others."""

_FIRST_YEAR = 2016
"""Of the numbers with codes of 法〔2015〕137号."""
_EARLIEST_YEAR, _LATEST_YEAR = 1990, 2100
"""Enforcement cases older than the 1991 Civil Procedure Law are closed; later years are typing errors."""

_YEAR = f"[{re.escape(OPENING_BRACKETS)}](?P<year>[0-9]{{4}})[{re.escape(CLOSING_BRACKETS)}]"
_PART = "(?:之[一二三四五六七八九十百]{1,6}|之[0-9]{1,4}|-[0-9]{1,4})?"
"""之一, 之1 or -1, for later documents in the same case."""
_END = f"(?P<sub>{_PART})号(?P<suffix>{_PART})"
_since_2016 = re.compile(
    rf"{_YEAR}(?P<court>{CODE})(?P<type>[\u4e00-\u9fff]{{1,6}})(?P<serial>[0-9]{{1,9}}){_END}"
).fullmatch
_until_2015 = re.compile(
    rf"{_YEAR}(?P<head>(?:{CODE})?[\u4e00-\u9fff]{{1,12}})字第?(?P<serial>[A-Z]?[0-9]{{1,9}}){_END}"
).fullmatch
_end = re.compile(rf"{_PART}号{_PART}\Z")
_zeros = re.compile("(?<=字第)([A-Z]?)0+")
_court_and_type = re.compile(
    rf"(?P<court>{CODE})(?:(?<=[0-9])[\u4e00-\u9fff]*|(?:高法?|法)?[恢民行刑委]?)执[\u4e00-\u9fff]*"
).fullmatch
"""A court's code before the type. A province's character alone is a high court's, as in 皖执, 粤高法执 and 沪行执; with
other characters after it, it begins a sign, as in 沪一中执."""
_HYPHENS = str.maketrans(dict.fromkeys(HYPHENS, "-"))

_REMEDY = "must be a case number, such as （2026）京0101执123号"
_NOT_YET = (
    f"must be written as in its year: numbers like （2016）京0101执123号 begin in {_FIRST_YEAR}, older ones have 字第"
)
_NO_LONGER = f"must be written as （2026）京0101执123号: numbers with 字第 end in {_FIRST_YEAR - 1}"


@dataclass(frozen=True, slots=True, eq=False)
class CaseNumbering:
    """What the configuration adds to the published rules of case numbers. Compared by identity."""

    signs: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The codes of the courts that used each sign until 2015."""
    types: frozenset[str] = ENFORCEMENT
    """The types of enforcement case."""


PUBLISHED = CaseNumbering()


@dataclass(frozen=True, slots=True)
class CaseNumber:
    """The number of an enforcement case since 2016. `str()` gives the official spelling."""

    year: int
    court_code: str
    type: str
    serial: int
    suffix: str = ""
    """之一, 之二 and so on for later rulings in the same case. Usually empty."""
    sub: str = ""
    """The same, before 号."""

    @property
    def courts(self) -> frozenset[str]:
        """The codes of the courts whose case it can be."""
        return frozenset({self.court_code})

    def __str__(self) -> str:
        return f"（{self.year}）{self.court_code}{self.type}{self.serial}{self.sub}号{self.suffix}"


@dataclass(frozen=True, slots=True)
class OldCaseNumber:
    """The number of an enforcement case until 2015. `str()` gives the official spelling."""

    year: int
    head: str
    """The court's code or sign, and the type of case."""
    serial: str
    """With its leading zeros."""
    courts: frozenset[str]
    """The codes of the courts whose case it can be. Empty if the sign is unknown."""
    suffix: str = ""
    sub: str = ""

    def __str__(self) -> str:
        return f"（{self.year}）{self.head}字第{self.serial}{self.sub}号{self.suffix}"


def parse_case_number(text: str, numbering: CaseNumbering = PUBLISHED) -> CaseNumber | OldCaseNumber:
    """Parses a case number, whatever its brackets, hyphens, character width and spacing.

    Raises:
        ValueError: this is not a case number, or not the number of an enforcement case.
    """
    tidied = "".join(normalize("NFKC", text).translate(_HYPHENS).split())
    if match := _until_2015(tidied):
        return _read_old(match, numbering)
    if match := _since_2016(tidied):
        return _read_new(match, numbering)
    raise ValueError(_REMEDY)


def without_parts(number: str) -> str:
    """The number of the case itself, of any number in it: without 之一 and the like, and without leading zeros.

    `number` is in the official spelling.
    """
    return _zeros.sub(r"\1", _end.sub("号", number))


def _read_new(match: re.Match[str], numbering: CaseNumbering) -> CaseNumber:
    year = _read_year(match)
    if year < _FIRST_YEAR:
        raise ValueError(_NOT_YET)
    if match["type"] not in numbering.types:
        raise ValueError(_no_enforcement(numbering))
    _require_serial(match)
    return CaseNumber(year, match["court"], match["type"], int(match["serial"]), match["suffix"], match["sub"])


def _read_old(match: re.Match[str], numbering: CaseNumbering) -> OldCaseNumber:
    """Types of that time were not standardised: 执, 执恢, 恢执, 执行, 执异, 法执 and so on. All contain 执."""
    year = _read_year(match)
    if year >= _FIRST_YEAR:
        raise ValueError(_NO_LONGER)
    head = match["head"]
    if "执" not in head:
        raise ValueError(_no_enforcement(numbering))
    _require_serial(match)
    courts = _courts_of(head, numbering.signs)
    return OldCaseNumber(year, head, match["serial"], courts, match["suffix"], match["sub"])


def _courts_of(head: str, signs: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The courts that a number can be of: by its code, or by its sign, before the type. The Supreme Court had none."""
    courts = {code for end in range(1, len(head)) if "执" in head[end:] for code in signs.get(head[:end], ())}
    if match := _court_and_type(head):
        courts.add(match["court"])
    elif head.startswith("执"):
        courts.add(SUPREME)
    return frozenset(courts)


def _read_year(match: re.Match[str]) -> int:
    year = int(match["year"])
    if not _EARLIEST_YEAR <= year <= _LATEST_YEAR:
        raise ValueError(f"must have a year from {_EARLIEST_YEAR} to {_LATEST_YEAR}: correct the year")
    return year


def _require_serial(match: re.Match[str]) -> None:
    if not int(match["serial"].lstrip(ascii_uppercase)):
        raise ValueError("must have a serial number of at least 1: correct it")


def _no_enforcement(numbering: CaseNumbering) -> str:
    return (
        f"must be the number of an enforcement case ({' '.join(sorted(numbering.types))}): property may only be "
        "investigated for enforcement"
    )
