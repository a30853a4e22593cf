"""What looking something up in a registry can give: things held, nothing, or a reason not to look.

`Finding` says it for one subject, `Findings` for a batch, as columns: most of a batch is nothing found, and what is not
there costs nothing to hand on.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_institutions.records import DocumentType
from mock_institutions.things import Columns

Holder = tuple[DocumentType, str, str]
"""Document type, number and name; an `Identity`, or like one."""


class Holding(NamedTuple):
    """One thing found: its numbers in UTF-8, the variant of its record, and who holds it."""

    numbers: tuple[bytes, ...]
    variant: int
    holders: tuple[Holder, ...]


class Refusal(NamedTuple):
    """An inquiry which is sent back."""

    outcome: Literal["REFUSED", "INVALID"]
    reason: str
    field: str
    message: str


Finding = tuple[Holding, ...] | Refusal
"""What a registry finds: things, nothing (an empty tuple), or a reason not to look."""

NAME_MISMATCH = Refusal("REFUSED", "NAME_MISMATCH", "name", "the name is not that of the holder of this number")
INVALID_NUMBER = Refusal("INVALID", "INVALID_NUMBER", "number", "not a number of this type; check it and ask again")
UNSUPPORTED = Refusal("INVALID", "UNSUPPORTED_SUBJECT_TYPE", "subject_type", "nothing of this type is registered here")
REFUSALS = (NAME_MISMATCH, INVALID_NUMBER, UNSUPPORTED)


class Holdings(NamedTuple):
    """The things found for a batch, as columns of equal length. Those of one row keep their order."""

    rows: list[int]
    """Of the inquiry each thing was found for."""
    variants: list[int]
    numbers: Columns
    document_types: list[DocumentType]
    document_numbers: list[str]
    names: list[str]
    """With the two above, who holds it."""
    others: dict[int, Holder]
    """By place in the columns: who holds the other half of it."""

    def add(self, row: int, holding: Holding) -> None:
        """One more."""
        (document_type, document_number, name), *others = holding.holders
        for other in others:
            self.others[len(self.rows)] = other
        self.rows.append(row)
        self.variants.append(holding.variant)
        for column, number in zip(self.numbers, holding.numbers, strict=True):
            column.append(number)
        self.document_types.append(document_type)
        self.document_numbers.append(document_number)
        self.names.append(name)

    def share(self, place: int, document_number: str, name: str, *, is_second: bool) -> None:
        """Half of the thing at `place` is this person's too, who is named as the second holder or as the first."""
        known = self.document_types[place], self.document_numbers[place], self.names[place]
        if is_second:
            self.others[place] = ("RESIDENT_ID", document_number, name)
        else:
            self.others[place] = known
            self.document_numbers[place], self.names[place] = document_number, name


class Findings(NamedTuple):
    """What there is on each subject of a batch: a row is refused, or has holdings, or there is nothing."""

    persons: NDArray[np.int64]
    """For each row the ordinal of the person, if it names one of the population; else -1."""
    refusals: dict[int, Refusal]
    """By row."""
    holdings: Holdings

    def moved(self, rows: Sequence[int], size: int) -> "Findings":
        """The same about a larger batch of `size`, of whose inquiries these are the `rows`."""
        persons = np.full(size, -1, dtype=np.int64)
        persons[rows] = self.persons
        refusals = {rows[row]: refusal for row, refusal in self.refusals.items()}
        return Findings(persons, refusals, self.holdings._replace(rows=[rows[row] for row in self.holdings.rows]))
