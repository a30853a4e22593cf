"""What the two dialects, JSON and protobuf, have in common.

Replies are spliced, not built: every variant of a record is encoded once, from its type, with marks where the numbers
go, and a reply joins those bytes with the bytes of what differs. A test holds the result against the typed reply.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import NamedTuple, Protocol

from mock_institutions import catalogue
from mock_institutions.findings import Findings, Holdings
from mock_institutions.records import Asset, Kind, Mandate, SubjectType
from mock_institutions.registry import Registry

ITEMS_PREPARED = 10_000
"""Item numbers whose bytes are held ready; others are made when needed. The largest batch anybody should declare."""

# A run of eight is in no record otherwise; the shortest number, a certificate's serial, has eight characters.
_MARKS = "~^"
_MARKED = re.compile(rb"~{8,}|\^{8,}")


class Inquiries(NamedTuple):
    """The inquiries of a batch, as columns of equal length."""

    items: Sequence[int]
    subject_types: Sequence[SubjectType]
    numbers: Sequence[str]
    names: Sequence[str]


class Batch(NamedTuple):
    """A request, decoded from either dialect. `mandate_of[i]` is the index of inquiry i's mandate."""

    request_id: str
    institution_id: str
    attempt: int
    mandates: Sequence[Mandate]
    mandate_of: Sequence[int]
    inquiries: Inquiries


class Spliced(NamedTuple):
    """A reply ready to send, and what it says."""

    body: bytes
    findings: Findings


class MalformedError(ValueError):
    """The body is not a request in this dialect. The message is fit for the caller."""


class Splicer(Protocol):
    """Writes the replies of one institution."""

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, as of `observed_at` seconds since the epoch."""
        ...


class Dialect(NamedTuple):
    """One way to write requests and replies."""

    content_type: str
    decode: Callable[[bytes], Batch]
    """Raises MalformedError."""
    splicer: Callable[[Registry], Splicer]


class Templates:
    """Every variant of a kind's record, cut where its holes are."""

    def __init__(self, rendered: Iterable[bytes]) -> None:
        """`rendered`: the variants in order, each with the same number of marks."""
        self._segments = tuple(zip(*map(_MARKED.split, rendered), strict=True))

    def fill(self, variants: Sequence[int], holes: Sequence[Iterable[bytes]]) -> Iterator[bytes]:
        """The records of these variants, with what goes into each hole: for every hole a column."""
        first, *others = ([segment[variant] for variant in variants] for segment in self._segments)
        return map(b"".join, zip(first, *chain.from_iterable(zip(holes, others, strict=True)), strict=True))


@cache
def _templates(render: Callable[[Asset], bytes], seed: int, kind: Kind, lengths: tuple[int, ...]) -> Templates:
    """The templates of a kind's record without holders, as `render` writes it.

    `lengths`: of the kind's numbers, in encoded bytes; a kind's numbers all have the same.
    """
    marks = tuple(mark * length for mark, length in zip(_MARKS, lengths, strict=False))
    return Templates(
        render(catalogue.asset(kind=kind, seed=seed, variant=variant, numbers=marks, holders=()))
        for variant in range(catalogue.VARIANTS)
    )


def templates_for(registry: Registry, render: Callable[[Asset], bytes]) -> Templates:
    """The templates for one institution's records; institutions of a kind share them."""
    lengths = tuple(len(number.encode()) for number in registry.numbers.of(0))
    return _templates(render, registry.seed, registry.institution.kind, lengths)


class Blanks:
    """For each item number a piece of a reply, NOT_FOUND, which is the same for a whole second at all institutions."""

    def __init__(self, write: Callable[[int, int], bytes]) -> None:
        """`write(item, observed_at)` makes the piece."""
        self._write = write
        self._observed_at = 0
        self._prepared: list[bytes] = []

    def of(self, items: Sequence[int], observed_at: int) -> list[bytes]:
        """The pieces for `items`, all of them as if nothing were found."""
        most = max(items, default=0)
        if most >= ITEMS_PREPARED:
            return [self._write(item, observed_at) for item in items]
        if observed_at != self._observed_at:
            self._prepared, self._observed_at = [], observed_at
        if most >= len(self._prepared):
            lacking = range(len(self._prepared), most + 1)
            self._prepared += [self._write(item, observed_at) for item in lacking]
        prepared = self._prepared
        return [prepared[item] for item in items]


def by_row(holdings: Holdings, assets: Iterable[bytes], separator: bytes) -> dict[int, bytes]:
    """The assets of each row, joined."""
    joined: dict[int, bytes] = {}
    for row, asset in zip(holdings.rows, assets, strict=True):
        joined[row] = joined[row] + separator + asset if row in joined else asset
    return joined
