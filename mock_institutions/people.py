"""Identities and names by ordinal of the population space.

Persons 2h and 2h + 1 are spouses, born on the same day in the same county. One is a woman and one a man, because the
last digit of the sequence encodes the sex.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_institutions import names
from mock_institutions.mixing import key, mixed, mixed_all
from mock_institutions.numbers import PERSONS, organisation_code, resident_id
from mock_institutions.records import DocumentType

# Surname and given name are selected by separate halves of the hash.
_SECOND_PART = 32


class Identity(NamedTuple):
    """A person or organisation of the population."""

    document_type: DocumentType
    number: str
    name: str


class People:
    """All persons and organisations for one seed."""

    def __init__(self, seed: int) -> None:
        self._key = key(seed, "names")

    def identity(self, index: int) -> Identity:
        """The person, or from `PERSONS` on the organisation, with ordinal `index` (0 to `POPULATION` - 1)."""
        if index < PERSONS:
            return Identity("RESIDENT_ID", resident_id(index), self.name(index))
        return Identity("ORGANIZATION_CODE", organisation_code(index), self.name(index))

    def name(self, index: int) -> str:
        """The name of the person or organisation with this ordinal."""
        drawn = mixed(index ^ self._key)
        if index < PERSONS:
            given = names.GIVEN_NAMES[(drawn >> _SECOND_PART) % len(names.GIVEN_NAMES)]
            return names.SURNAMES[drawn % len(names.SURNAMES)] + given
        before, after = names.FIRMS[(drawn >> _SECOND_PART) % len(names.FIRMS)]
        return before + names.PLACES[drawn % len(names.PLACES)] + after

    def person_names(self, indices: NDArray[np.int64]) -> list[str]:
        """The names of many persons."""
        drawn = mixed_all(indices.view(np.uint64) ^ np.uint64(self._key))
        surnames = drawn % np.uint64(len(names.SURNAMES))
        given = (drawn >> np.uint64(_SECOND_PART)) % np.uint64(len(names.GIVEN_NAMES))
        chosen: list[str] = _full_names()[surnames * np.uint64(len(names.GIVEN_NAMES)) + given].tolist()
        return chosen


@cache
def _full_names() -> NDArray[np.object_]:
    """All combinations of surname and given name, so that no strings are joined on the hot path."""
    return np.array([surname + given for surname, given in product(names.SURNAMES, names.GIVEN_NAMES)], dtype=object)
