"""Whether what an institution says is about the subject it was asked about.

Nearly always, a reply repeats number and name as they were sent. Only if it does not, numbers are normalised like those
of lookups, and names are folded. An organisation may be named by its unified code of 18 characters (GB 32100) or by the
organisation code (GB 11714) that is characters 9 to 17 of it, whichever was asked. Document types and names may be left
out; types that are given must be equal, because two documents of different types can have the same number.
"""

from collections.abc import Collection
from datetime import date
from enum import IntEnum
from functools import cached_property

from broker.core.subjects.name_folding import folded
from broker.core.subjects.numbers import normalise_numbers
from broker.model import Subject, SubjectType

Holder = tuple[int, str, str]
"""`DocumentType`, document number and name, in the order of a `Subject`, as the institution spells them."""
_UNSPECIFIED = 0  # of DocumentType
_LONGEST_NUMBER = 64  # characters; the longest number has 32, and may be written in groups
# These bound the time that a malicious reply can take. A system spells a number in one way, or in a few.
_MAX_SPELLINGS = 16  # of the subject's number: as many times, unknown numbers are normalised
_MAX_NAMES = 64  # different names with the subject's number that are folded


class Match(IntEnum):
    """Whether an asset is about the subject. Greater values are further from it."""

    SAME = 0
    NAME_DIFFERS = 1
    """A holder has the subject's number, and another name."""
    OTHER = 2


class SubjectMatch:
    """Compares assets with one subject.

    State: which numbers and names so far are the subject's, and how often numbers were normalised.
    """

    def __init__(self, subject: Subject, *, today: date) -> None:
        self._subject = subject
        self._today = today
        self._numbers: dict[str, bool] = {}
        self._names: dict[str, bool] = {}
        self._normalised = 0

    def holders(self, holders: Collection[Holder]) -> Match:
        """Whether the subject, a person or organisation, is one of the holders."""
        types = (self._subject.type, _UNSPECIFIED)
        typed = [(number, name) for document_type, number, name in holders if document_type in types]
        own = self._own([number for number, _ in typed])
        names = [name for number, name in typed if number in own]
        if any(map(self._is_name, names)):
            return Match.SAME
        return Match.NAME_DIFFERS if names else Match.OTHER

    def numbers(self, numbers: Collection[str]) -> Match:
        """Whether an asset with these numbers is the subject, a property."""
        return Match.SAME if self._own(numbers) else Match.OTHER

    def _own(self, numbers: Collection[str]) -> set[str]:
        """Those of the numbers that are the subject's. Unknown ones are normalised only if no known one is."""
        own = {number for number in numbers if self._numbers.get(number)}
        if not own and self._normalised < _MAX_SPELLINGS:
            self._read(numbers)
            own = {number for number in numbers if self._numbers.get(number)}
        return own

    def _read(self, numbers: Collection[str]) -> None:
        unread = [number for number in {*numbers} - self._numbers.keys() if len(number) <= _LONGEST_NUMBER]
        normalised = normalise_numbers([self._subject.type] * len(unread), unread, today=self._today).numbers
        self._numbers |= dict(zip(unread, map(self._is_number, normalised), strict=True))
        self._normalised += 1

    def _is_number(self, normalised: str) -> bool:
        own = self._subject.number
        if self._subject.type is SubjectType.ORGANIZATION_CODE and {len(own), len(normalised)} == {9, 18}:
            return _core(own) == _core(normalised)
        return normalised == own

    def _is_name(self, name: str) -> bool:
        if name not in self._names and len(self._names) < _MAX_NAMES:
            self._names[name] = not name or folded(name) == self._folded
        return self._names.get(name, False)

    @cached_property
    def _folded(self) -> str:
        return folded(self._subject.name)


def _core(code: str) -> str:
    """The organisation code within a unified code, or the organisation code itself."""
    return code[8:17] if len(code) == 18 else code
