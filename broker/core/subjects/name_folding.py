"""Decides whether two spellings are one name: for holders in replies, and for nothing else.

What an institution is sent, and what goes into the key, is never folded (`names`). Two spellings are one name if they
differ only in how they were typed, typeset or encoded:

| differs in | example |
|---|---|
| width, case, ligatures, Roman numerals (NFKC) | Ｌｕｋｅ = LUKE, Ⅱ = II |
| look-alikes and private use (`look_alikes`) | U+2EE2 = 马 |
| circle for 〇 beside Han characters | 七○三 = 七〇三 |
| kind of bracket, and blanks around it | （北京） = (北京) = 〔北京〕 |
| dot between the parts of a name, and blanks around it | 古丽米热.艾比布力 = 古丽米热 • 艾比布力 = 古丽米热·艾比布力 |
| kind of apostrophe, quotation mark or hyphen | O’CONNOR = O'CONNOR |
| blanks between Han characters that only spread them out | 张　三 = 张三 |
| kind and number of other blanks | J  SMITH = J SMITH |

What a reader sees as a mark of its own stays apart, although NFKC would join it: ① and 1, m² and m2, ½ and 1⁄2.
"""

import re
from functools import lru_cache
from itertools import groupby
from unicodedata import decomposition, is_normalized, normalize

from broker.core.subjects.invisible import WHITE_SPACE
from broker.core.subjects.look_alikes import HAN, replace_look_alikes
from broker.core.subjects.name_marks import (
    APOSTROPHES,
    BLANK,
    CIRCLES,
    CLOSING_BRACKETS,
    FULL_STOPS,
    HYPHENS,
    MIDDLE_DOTS,
    OPENING_BRACKETS,
    QUOTES,
)
from broker.core.subjects.names import LONGEST_NAME

_MARKS = str.maketrans(
    dict.fromkeys(MIDDLE_DOTS, "·")
    | dict.fromkeys(OPENING_BRACKETS, "(")
    | dict.fromkeys(CLOSING_BRACKETS, ")")
    | dict.fromkeys(APOSTROPHES, "'")
    | dict.fromkeys(HYPHENS, "-")
    | dict.fromkeys(QUOTES, '"')
)
_KEPT_APART = frozenset({"<circle>", "<super>", "<sub>", "<fraction>"})
"""Decompositions that lose a mark."""
_is_plain = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]*").fullmatch
_dot = re.compile(f"(?<=[{HAN}]){BLANK}*[{FULL_STOPS}]{BLANK}*(?=[{HAN}])").sub
_circles = re.compile(f"(?<=[{HAN}])[{CIRCLES}]+|[{CIRCLES}]+(?=[{HAN}])").sub
_spread = re.compile(f"(?<![{HAN}])[{HAN}]+(?:{BLANK}+[{HAN}]+)+").sub
_blanks = re.compile(f"{BLANK}+").sub
_around_marks = re.compile(" ?([·()]) ?").sub
_SHORT = 4
"""Han characters of the longest name that may be written with one blank somewhere; longer ones are spread out whole."""


def folded(name: str) -> str:
    """The spelling that all spellings of a name have in common. Folding it again changes nothing.

    What is longer than names may be is only trimmed, before anything is done that takes longer for longer names.
    """
    name = name.strip(WHITE_SPACE)
    if len(name) > LONGEST_NAME:
        return name
    while not _is_plain(name) and (once := _folded_once(name)) != name:
        name = once  # one rule can make room for another: case folding undoes compositions, for example
    return name


def _folded_once(name: str) -> str:
    name = replace_look_alikes(name).translate(_MARKS)
    name = _blanks(" ", _compatible(name).casefold()).strip(" ")
    name = _around_marks(r"\1", _dot("·", zero_written_out(name)))
    return without_typeset_blanks(name)


def _compatible(name: str) -> str:
    """NFKC, but for the characters that it would rob of a mark."""
    if is_normalized("NFKC", name):
        return name
    runs = ((apart, "".join(run)) for apart, run in groupby(name, _is_kept_apart))
    return "".join(run if apart else normalize("NFKC", run) for apart, run in runs)


@lru_cache(maxsize=4096)
def _is_kept_apart(character: str) -> bool:
    """Whether a mark would be lost, even if only in a part: ㎡ contains ²."""
    kind, *codes = decomposition(character).split() or [""]
    if not kind.startswith("<"):
        return False  # canonical: the same character in another encoding
    return kind in _KEPT_APART or any(_is_kept_apart(chr(int(code, 16))) for code in codes)


def zero_written_out(name: str) -> str:
    """The name with 〇 in place of circles beside Han characters: 七○三 is 七〇三."""
    return _circles(lambda match: "〇" * len(match[0]), name)


def without_typeset_blanks(name: str) -> str:
    """The name without the blanks that spread out Han characters.

    They do in a name of up to four (张 三, 欧阳 修), unless two and two may be two names, and where every character
    stands alone (甲 乙 有 限 公 司). Other blanks may part two names.
    """
    return _spread(_joined, name)


def _joined(match: re.Match[str]) -> str:
    parts = match[0].split()
    lengths = [*map(len, parts)]
    is_short = sum(lengths) <= _SHORT and lengths != [2, 2]
    return "".join(parts) if is_short or max(lengths) == 1 else match[0]
