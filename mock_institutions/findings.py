"""The results of looking up subjects in a registry: things, nothing, or a refusal.

`Finding` is the result for one subject. `Findings` are the results for a batch, as columns, so that subjects without
records, which are most of a batch, cost nothing.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_institutions.records import DocumentType
from mock_institutions.things import Columns

Holder = tuple[DocumentType, str, str]
"""Document type, number and name, like an `Identity`."""


class Holding(NamedTuple):
    """One thing: its numbers in UTF-8, the variant of its record, and its holders."""

    numbers: tuple[bytes, ...]
    variant: int
    holders: tuple[Holder, ...]


class Refusal(NamedTuple):
    """The refusal of an inquiry."""

    outcome: Literal["REFUSED", "INVALID"]
    reason: str
    field: str
    message: str


Finding = tuple[Holding, ...] | Refusal
"""The things found (an empty tuple if there are none), or a refusal."""

NAME_MISMATCH = Refusal("REFUSED", "NAME_MISMATCH", "name", "the name differs from the registered one")
INVALID_NUMBER = Refusal("INVALID", "INVALID_NUMBER", "number", "the number is not valid for its type; correct it")
UNSUPPORTED = Refusal("INVALID", "UNSUPPORTED_SUBJECT_TYPE", "subject_type", "there are no records of this type here")
REFUSALS = (NAME_MISMATCH, INVALID_NUMBER, UNSUPPORTED)


class Holdings(NamedTuple):
    """The things found for a batch, as columns of equal length. The things of one row keep their order."""

    rows: list[int]
    """The row of the inquiry for which each thing was found."""
    variants: list[int]
    numbers: Columns
    document_types: list[DocumentType]
    document_numbers: list[str]
    names: list[str]
    """Together with the two columns above, the first holder."""
    others: dict[int, Holder]
    """By index in the columns: the second holder, who owns one half."""

    def add(self, row: int, holding: Holding) -> None:
        """Adds a thing."""
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

    def share(self, index: int, document_number: str, name: str, *, is_second: bool) -> None:
        """Adds this person as a holder of one half of the thing at `index`, as the second or the first holder."""
        known = self.document_types[index], self.document_numbers[index], self.names[index]
        if is_second:
            self.others[index] = ("RESIDENT_ID", document_number, name)
        else:
            self.others[index] = known
            self.document_numbers[index], self.names[index] = document_number, name


class Findings(NamedTuple):
    """The results for a batch. Each row has a refusal, or holdings, or nothing."""

    persons: NDArray[np.int64]
    """The ordinal of the person in each row, or -1 if it is not a person of the population."""
    refusals: dict[int, Refusal]
    """By row."""
    holdings: Holdings

    def moved(self, rows: Sequence[int], size: int) -> "Findings":
        """These results as part of a larger batch of `size` inquiries, in which they have the given `rows`."""
        persons = np.full(size, -1, dtype=np.int64)
        persons[rows] = self.persons
        refusals = {rows[row]: refusal for row, refusal in self.refusals.items()}
        return Findings(persons, refusals, self.holdings._replace(rows=[rows[row] for row in self.holdings.rows]))
