"""Characters that are another one by look or by history: radicals, strokes, compatibility characters, private use.

Text that was copied from a PDF has radicals (U+2EE2) where the ideograph (马) was meant, and text that was converted by
an old table has private-use characters for rare ideographs. look_alikes.tsv lists those that Unicode's normalisation
does not replace, with their sources. Ligatures (U+FB03 for ffi) and the shapes of Arabic letters within a word come
from PDFs, too.
"""

from importlib.resources import files
from unicodedata import normalize

HAN = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\ue000-\uf0b6\uf0b8-\uf8ff\uf900-\ufaff"
    "\U00020000-\U0003fffd\U000f0000-\U0010fffd"
)
"""What counts as a Han character, as the inside of a character class: private-use characters too, since rare ones are
written with them, but not U+F0B7, the dot of a font."""


def _read_table() -> dict[int, str]:
    text = files("broker.core.subjects").joinpath("look_alikes.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    table = {int(code, 16): chr(int(equal, 16)) for code, equal, _ in rows}
    return {code: table.get(ord(equal), equal) for code, equal in table.items()}  # private use -> radical -> ideograph


def _compatibility_characters() -> dict[int, str]:
    """What NFKC replaces one by one: Kangxi radicals, compatibility ideographs, ligatures and Arabic letters."""
    codes = (code for first, last in _BLOCKS for code in range(first, last + 1))
    equal = {code: normalize("NFKC", chr(code)) for code in codes}
    return {code: text for code, text in equal.items() if text != chr(code)}


_BLOCKS = (
    (0x2F00, 0x2FD5),  # Kangxi radicals
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0xFB00, 0xFB06),  # Latin ligatures
    (0xFB50, 0xFBFF),  # Arabic letters of Uyghur and other languages, and their ligatures
    (0xFE80, 0xFEFC),  # Arabic letters, and the ligatures of lam and alef
    (0x2F800, 0x2FA1F),  # compatibility ideographs
)
_TABLE = _read_table()
_EQUAL = _TABLE | _compatibility_characters()

_ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in _BLOCKS)
LOOK_ALIKES = f"{''.join(map(chr, _TABLE))}{_ranges}"
"""All of them, as the inside of a character class: blocks as ranges, since a class of so many characters is slow."""


def replace_look_alikes(text: str) -> str:
    """The text with encoded ideographs in place of their look-alikes."""
    return text.translate(_EQUAL)
