"""The marks in names, and what is typed for them."""

MIDDLE_DOTS = (
    "\u00b7\u02d1\u02d9\u0387\u119e\u1427\u16eb\u2022\u2027\u2218\u2219\u22c5\u25cf\u25e6\u26ab\u2981\u2e30\u2e31\u2e33"
    "\u30fb\u318d\ua78f\uf0b7\uff65\U00010101"
)
"""What input methods, PDFs and code pages put for U+00B7: bullets, operators, the dots of Greek, Korean, Japanese
(GB 2312's own dot is U+30FB in some tables), and of Big5 (U+2022, U+2027), and of the font Symbol (U+F0B7)."""

FULL_STOPS = ".\u2024\ufe52\uff0e\u3002\uff61\ufe12"
"""They are a name's dot between Han characters only: elsewhere they abbreviate."""

CIRCLES = "\u25cb\u25ef\u2b58"
"""Beside Han characters, they are typed for 〇."""

OPENING_BRACKETS = "([{<❨❪❬❲❴⟦⟨⟪⦅〈《「『【〔〖〘〚︵︷︹︻︽︿﹁﹃﹙﹛﹝（＜［｛｟｢⁅⁽₍〈❰⟬⟮⦃⦗⸨︗﹇"
CLOSING_BRACKETS = ")]}>❩❫❭❳❵⟧⟩⟫⦆〉》」』】〕〗〙〛︶︸︺︼︾﹀﹂﹄﹚﹜﹞）＞］｝｠｣⁆⁾₎〉❱⟭⟯⦄⦘⸩︘﹈"
"""Every kind of bracket, in the same order."""

APOSTROPHES = (
    "'`\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u055a\u05f3\u1fbd\u1fbf\u1fef\u1ffd\u2018\u2019\u201b"
    "\u2032\u2035\u275b\u275c\ua78b\ua78c\uff07\uff40"
)
"""Also backquotes, primes, and the letters that transcribe a glottal stop."""

HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"

QUOTES = '"\u201c\u201d\u201e\u201f\u301d\u301e\u301f\uff02'

BLANKS = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Every character of the general category Zs."""

BLANK = f"[{BLANKS}]"
"""One of them, as a regular expression."""
