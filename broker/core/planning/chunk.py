"""Lookups as they are planned: a chunk of a request's, in aligned columns.

A chunk is as many lookups as one step of an event loop can plan and submit, which depends on how many institutions are
asked about each: 1,000 lookups at four institutions, five at 400, one at 4,000.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from broker.core.wire import encoding
from broker.model import Problem, Subject

_USUAL = 4  # institutions asked about most lookups
_MAX_LOOKUPS = 1_000  # in a chunk that asks these: planned in some 2 ms
_MAX_INQUIRIES = 2_000  # in a chunk that asks more: if the cache holds some answers of each record, some 5 ms


def chunk_size(institutions: int) -> int:
    """How many lookups make a chunk if each is asked of so many institutions."""
    return _MAX_LOOKUPS if institutions <= _USUAL else max(1, _MAX_INQUIRIES // institutions)


def work(lookups: int, institutions: int) -> int:
    """How much so many lookups are for a step of the loop: as many as that are asked of the usual four institutions."""
    return max(lookups, lookups * institutions // _USUAL)


@dataclass(frozen=True, slots=True)
class LookupColumns:
    """Some of a request's lookups, normalised: aligned columns."""

    heads: Sequence[bytes]
    """Each one's ref, encoded as its reports begin with it; then its warnings, once `with_warnings` has added them."""
    types: Sequence[int]
    keys: Sequence[bytes]
    subjects: Sequence[Subject]
    problems: dict[int, Problem]
    """What is wrong with a lookup, by its index in the columns."""
    warnings: dict[int, Problem] = field(default_factory=dict)
    """What was found in a lookup and does not prevent the inquiries, by its index. Not yet in `heads`."""
    commitments: bytes = b""
    """What the audit log says instead of each subject, 16 bytes for each: a hash under a key of its own.

    Empty if there is no log.
    """
    standards: dict[int, bytes] = field(default_factory=dict)
    """The same for the standard spelling of a name, by index, where another one was sent."""

    def with_warnings(self) -> "LookupColumns":
        """The same lookups with their warnings in `heads`, which whoever reports on them begins with.

        So warnings take the way of the ref: into every report, whether it comes from the cache, an institution or a
        peer, at no cost for lookups without warnings. Lookups with a problem lose theirs.
        """
        if not self.warnings:
            return self
        heads = list(self.heads)
        for index, warning in self.warnings.items():
            if index not in self.problems:
                heads[index] += encoding.warning(warning)
        return replace(self, heads=heads, warnings={})

    def pick(self, indices: Sequence[int]) -> "LookupColumns":
        """Some of them, none of which has a problem. Warnings are in `heads`."""
        subjects = self.subjects[:]
        return LookupColumns(
            heads=[self.heads[index] for index in indices],
            types=[self.types[index] for index in indices],
            keys=[self.keys[index] for index in indices],
            subjects=[subjects[index] for index in indices],
            problems={},
        )


class Chunk(NamedTuple):
    """Some of a request's lookups."""

    columns: LookupColumns
    positions: Sequence[int]
    """Of the lookups in the caller's request."""

    def pick(self, indices: Sequence[int]) -> "Chunk":
        """Some of them, none of which has a problem."""
        return Chunk(self.columns.pick(indices), [self.positions[index] for index in indices])

    def parts(self, size: int) -> Iterator["Chunk"]:
        """The same lookups, none of which has a problem, at most `size` at a time."""
        if len(self.positions) <= size:
            yield self
            return
        for start in range(0, len(self.positions), size):
            yield self.pick(range(start, min(start + size, len(self.positions))))


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """The lookups of several chunks, none of which has a problem, as one."""
    if len(chunks) == 1:
        return chunks[0]
    columns = [chunk.columns for chunk in chunks]
    return Chunk(
        LookupColumns(
            heads=[head for each in columns for head in each.heads],
            types=[subject_type for each in columns for subject_type in each.types],
            keys=[key for each in columns for key in each.keys],
            subjects=[subject for each in columns for subject in each.subjects],
            problems={},
        ),
        [position for chunk in chunks for position in chunk.positions],
    )
