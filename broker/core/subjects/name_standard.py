"""How a registry would have registered a name: the spelling to ask under when an institution does not find another one.

| in names with Han characters | standard |
|---|---|
| look-alikes and private use (`look_alikes`) | the encoded character |
| a circle beside Han characters | 〇 |
| a dot between Han characters, with or without blanks | U+00B7, without |
| brackets in a firm's name | （ and ）, without blanks around them |
| blanks that only spread out Han characters | none |

| in other names | standard |
|---|---|
| full-width letters, digits and marks | half-width |
| blanks | one space |
| hyphens | - |

In both: apostrophes are ', and letters with marks are composed (NFC). Everything else stays, since it can be part of a
registered name: Ⅱ, ３Ｄ, capitals.
"""

import re
from unicodedata import is_normalized, normalize

from broker.core.subjects.look_alikes import HAN, LOOK_ALIKES, replace_look_alikes
from broker.core.subjects.name_folding import without_typeset_blanks, zero_written_out
from broker.core.subjects.name_marks import (
    APOSTROPHES,
    BLANK,
    BLANKS,
    CIRCLES,
    CLOSING_BRACKETS,
    FULL_STOPS,
    HYPHENS,
    MIDDLE_DOTS,
    OPENING_BRACKETS,
)
from broker.model import SubjectType

_FULL_WIDTH = {code + 0xFEE0: chr(code) for code in range(ord("!"), ord("~") + 1)}  # Unicode's full-width block
_STANDARD = "·（）'-"
_MARKS = CIRCLES + BLANKS + MIDDLE_DOTS + FULL_STOPS + OPENING_BRACKETS + CLOSING_BRACKETS + APOSTROPHES + HYPHENS
_others = "".join(map(re.escape, sorted(set(_MARKS) - set(_STANDARD))))
_find = re.compile(f"[{LOOK_ALIKES}{_others}\uff01-\uff07\uff0a-\uff5e]").search
_has_han = re.compile(f"[{HAN}]").search
_dot = re.compile(f"(?<=[{HAN}]){BLANK}*[{MIDDLE_DOTS}{FULL_STOPS}]{BLANK}*(?=[{HAN}])").sub
_opening = re.compile(f"{BLANK}*[{re.escape(OPENING_BRACKETS)}]{BLANK}*").sub
_closing = re.compile(f"{BLANK}*[{re.escape(CLOSING_BRACKETS)}]{BLANK}*").sub
_blanks = re.compile(f"{BLANK}+").sub
_apostrophes = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
_hyphens = str.maketrans(dict.fromkeys(HYPHENS, "-"))


def may_differ(names: str) -> bool:
    """Whether a name, or one of several joined by line breaks, can differ from its standard spelling. Few do."""
    return _find(names) is not None or not is_normalized("NFC", names)


def standard(subject_type: int, name: str) -> str:
    """The standard spelling of a name that was read (`names`). It is its own standard spelling."""
    if not may_differ(name):
        return name
    name = replace_look_alikes(normalize("NFC", name)).translate(_apostrophes)
    if not _has_han(name):
        half_width = name.translate(_FULL_WIDTH).translate(_apostrophes).translate(_hyphens)
        return normalize("NFC", _blanks(" ", half_width))
    name = _dot("·", zero_written_out(name))
    if subject_type == SubjectType.ORGANIZATION_CODE:
        name = _closing("）", _opening("（", name))
    return without_typeset_blanks(name)
