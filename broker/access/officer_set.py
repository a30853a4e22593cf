"""Sets of officers' identifiers as a policy writes them: a list, with * for any characters.

    ["王法官", "京0101-*"]

Identifiers are compared as courts send them, character by character.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ANY = "*"
_MOST_STARS = 2  # a match takes time that grows with the length of an identifier to this power


@dataclass(frozen=True, slots=True)
class OfficerSet:
    """Single identifiers, and one regular expression for all patterns."""

    single: frozenset[str]
    pattern: re.Pattern[str] | None

    def has(self, officer: str) -> bool:
        """Whether an officer is in the set."""
        return officer in self.single or (self.pattern is not None and self.pattern.fullmatch(officer) is not None)


def parse_officer_set(texts: Iterable[str]) -> OfficerSet:
    """The set that these texts describe. Raises `ValueError` with a remedy."""
    single, patterns = set(), []
    for text in texts:
        if not text or text != text.strip() or text.count(_ANY) > _MOST_STARS:
            msg = f"{text!r} must be an officer's identifier without blanks at its ends, with at most {_MOST_STARS} *"
            raise ValueError(msg)
        if _ANY in text:
            patterns.append(".*".join(map(re.escape, text.split(_ANY))))
        else:
            single.add(text)
    return OfficerSet(frozenset(single), re.compile("|".join(patterns)) if patterns else None)
