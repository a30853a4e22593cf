"""Parses the codes of courts (法〔2015〕137号, in force since 2016). A court's code determines its level and region.

Courts of a province reach the institutions of their region and the national ones. The Supreme Court and the military
courts reach all: what a military court's debtors own may be registered in any province.
"""

import re
from functools import lru_cache
from unicodedata import normalize

from broker.model import Court, Level

PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川黔云藏陕甘青宁新"
"""The one-character names of the 31 provincial-level regions of the mainland, as courts write them (黔, not 贵)."""
XPCC = "兵"
"""The Xinjiang Production and Construction Corps has its own courts, and counts as a region."""
MILITARY = "军"
"""The military courts, 军, 军01 and 军0101, belong to no region."""
SUPREME = "最高法"

_REGIONS = {name: name for name in PROVINCES + XPCC} | {"内": "蒙"}
"""Region by the first character of a court's code. Inner Mongolia is 蒙 on number plates but 内 in court codes."""
_LEVELS = {0: Level.HIGH, 2: Level.INTERMEDIATE, 4: Level.BASIC}
"""Level by the number of digits after the first character."""
CODE = f"{SUPREME}|[{''.join(_REGIONS)}{MILITARY}](?:[0-9]{{2}}){{0,2}}"
"""A regular expression for codes."""
_REMEDY = (
    "must be a court's code: 最高法, or a province's character (for military courts 军) with 0, 2 or 4 digits, "
    "such as 京, 京01 or 京0101"
)


def parse_court(code: str) -> Court:
    """The court with this code. Accepts full-width digits and surrounding blanks.

    Raises:
        ValueError: the code is malformed.
    """
    code = normalize("NFKC", code).strip()
    if not re.fullmatch(CODE, code):
        raise ValueError(_REMEDY)
    if code == SUPREME:
        return Court(code, Level.SUPREME, None)
    return Court(code, _LEVELS[len(code) - 1], _REGIONS.get(code[0]))


def court_region(character: str) -> str | None:
    """The region of the courts whose codes begin with this character; None if there are none."""
    return _REGIONS.get(character)


@lru_cache(maxsize=8192)
def lineage(court: Court) -> tuple[str, ...]:
    """The codes of a court and of the courts above it, from itself up to the Supreme Court.

    The first two digits of a basic court's code are those of its intermediate court. Courts of Inner Mongolia have one
    spelling here, with 蒙, so that 内01 and 蒙01 are the same court.
    """
    if court.level is Level.SUPREME:
        return (SUPREME,)
    region, digits = court.region or court.code[0], court.code[1:]
    return (*(region + digits[:length] for length in range(len(digits), -1, -2)), SUPREME)


def reaches(court: Court, region: str | None) -> bool:
    """Whether a court may ask an institution of this region. `region` is None if the institution is national."""
    return region is None or court.region is None or court.region == region
