"""Which characters no reader sees, or break a line: they are refused in names and in numbers.

Two texts that look the same and differ in such a character are different to an institution that compares exactly, and
a line break may part two names or numbers.
"""

import re
from sys import maxunicode

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's property White_Space (PropList.txt): what may be trimmed at both ends of a text."""

_DEFAULT_IGNORABLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt, the same in 14.0 to 17.0): soft hyphen,
joiners, zero-width spaces, bidirectional controls, variation selectors, fillers, tags."""

_FORMAT = (
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\u2028\u2029"
)
"""The other format characters (general category Cf), and the separators of lines and paragraphs."""

_CONTROLS = "\0-\x1f\x7f-\x9f"

_EMPTY = "\u2800\U00016fe4\U0001d159"
"""Letters and symbols without ink: the empty braille cell, the Khitan filler, the null note."""

_BROKEN = "\ufffc\ufffd\ufdd0-\ufdef\ud800-\udfff" + "".join(
    f"{chr(last - 1)}{chr(last)}" for last in range(0xFFFF, maxunicode + 1, 0x10000)
)
"""What stands for something that was lost (U+FFFC, U+FFFD), lone surrogates, and code points that are no characters."""

UNREADABLE = f"{_CONTROLS}{_DEFAULT_IGNORABLE}{_FORMAT}{_EMPTY}{_BROKEN}"
"""The inside of a character class of a regular expression."""

find_unreadable = re.compile(f"[{UNREADABLE}]").search
