"""Sets of courts as a policy writes them: single courts, and courts with all courts below them.

    ["京0101", "沪*", "*"]

A code stands for that court alone. A code followed by * stands for the court and all courts below it: 京01* for 京01,
京0101, 京0102 and so on. 最高法* and * stand for all courts.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.core.subjects.court import SUPREME, lineage, parse_court

EVERYONE = "*"


@dataclass(frozen=True, slots=True)
class CourtSet:
    """Codes are in the spelling of `core.subjects.court.lineage`."""

    single: frozenset[str] = frozenset()
    """Courts by themselves."""
    roots: frozenset[str] = frozenset()
    """Courts that stand for all below them, too."""

    def has(self, codes: tuple[str, ...]) -> bool:
        """Whether a court is in the set. `codes`: its lineage."""
        return codes[0] in self.single or not self.roots.isdisjoint(codes)


NO_COURTS = CourtSet()


def parse_court_set(patterns: Iterable[str]) -> CourtSet:
    """The set that these patterns describe. Raises `ValueError` with the first pattern that is none, and a remedy."""
    single: set[str] = set()
    roots: set[str] = set()
    for pattern in patterns:
        if pattern == EVERYONE:
            roots.add(SUPREME)
            continue
        code = pattern.removesuffix(EVERYONE)
        try:
            (single if code == pattern else roots).add(lineage(parse_court(code))[0])
        except ValueError:
            msg = f"{pattern!r} must be a court's code, such as 京0101, or a code with * for all courts below it, too"
            raise ValueError(msg) from None
    return CourtSet(frozenset(single), frozenset(roots))
