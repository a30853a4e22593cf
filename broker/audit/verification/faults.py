"""The ways in which a log can turn out not to be what it was, and how two sequences of entries differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What happened to a log."""

    CHANGED = "changed"
    """An entry, hash, checkpoint or head of a journal file is not what it was."""
    REMOVED = "removed"
    """Something in the middle is missing."""
    ADDED = "added"
    """There is more in the middle than there was."""
    REORDERED = "reordered"
    """The entries are the same in another order."""
    TRUNCATED = "truncated"
    """The end is missing."""
    FORKED = "forked"
    """The log was shown differently elsewhere."""
    UNSIGNED = "unsigned"
    """A checkpoint has no signature of the expected key."""
    MATERIAL = "material"
    """What is sealed beside an entry is not what the entry says."""
    SEQUENCE = "sequence"
    """Entries do not follow one another as they must, such as an end without an admission, or an earlier time."""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Something wrong in a log."""

    log: str
    """Its origin, or its folder if that is not known."""
    index: int | None
    """Of the first entry concerned, if it is known."""
    kind: FaultKind
    detail: str

    def __str__(self) -> str:
        """The fault as text."""
        where = "" if self.index is None else f", entry {self.index}"
        return f"{self.log}{where}: {self.kind}: {self.detail}"


def difference(signed: Sequence[bytes], found: Sequence[bytes]) -> tuple[FaultKind, int] | None:
    """How hashes that were found differ from those that were signed, and from which position on; None if they do not.

    What is found after as many as were signed may be newer, and is no difference.
    """
    count = len(signed)
    if signed == found[:count]:
        return None
    first = next(at for at in range(count) if at >= len(found) or signed[at] != found[at])
    if first == len(found):
        return FaultKind.TRUNCATED, first
    known = set(signed)
    end = max((at for at, each in enumerate(found) if each in known), default=count) + 1  # what follows is newer
    missing, added = known.difference(found), set(found[:end]).difference(known)
    match bool(missing), bool(added):
        case True, False:
            return FaultKind.REMOVED, first
        case False, True:
            return FaultKind.ADDED, first
        case False, False:
            return FaultKind.REORDERED, first
    return FaultKind.CHANGED, first
