"""Lookups as they are planned: a chunk of a request's, in aligned columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.model import Problem, Subject


@dataclass(frozen=True, slots=True)
class LookupColumns:
    """Some of a request's lookups, normalised: aligned columns."""

    heads: Sequence[bytes]
    """Each one's ref, encoded as a report begins with it."""
    types: Sequence[int]
    keys: Sequence[bytes]
    subjects: Sequence[Subject]
    problems: dict[int, Problem]
    """What is wrong with a lookup, by its place in the columns."""

    def pick(self, places: Sequence[int]) -> "LookupColumns":
        """Some of them, none of which has a problem."""
        subjects = self.subjects[:]
        return LookupColumns(
            heads=[self.heads[place] for place in places],
            types=[self.types[place] for place in places],
            keys=[self.keys[place] for place in places],
            subjects=[subjects[place] for place in places],
            problems={},
        )


class Chunk(NamedTuple):
    """Some of a request's lookups."""

    columns: LookupColumns
    positions: Sequence[int]
    """Places in the caller's request."""

    def pick(self, places: Sequence[int]) -> "Chunk":
        """Some of them, none of which has a problem."""
        return Chunk(self.columns.pick(places), [self.positions[place] for place in places])
