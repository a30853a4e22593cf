"""The common parts of the two dialects, JSON and protobuf.

Replies are spliced from bytes. Every variant of a record is encoded once, with placeholders for the numbers, and a
reply consists of copies of these bytes with the numbers filled in. A test compares the result with the typed reply.
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
"""The number of item numbers that are encoded in advance, and the maximum batch size in a configuration."""

# Placeholders are at least eight characters long, like the shortest number (the serial of a certificate). No record
# contains such a run otherwise.
_MARKS = "~^"
_MARKED = re.compile(rb"~{8,}|\^{8,}")


class Inquiries(NamedTuple):
    """The inquiries of a batch, as columns of equal length."""

    items: Sequence[int]
    subject_types: Sequence[SubjectType]
    numbers: Sequence[str]
    names: Sequence[str]


class Batch(NamedTuple):
    """A decoded request. `mandate_of[i]` is the index of the mandate of inquiry i."""

    request_id: str
    institution_id: str
    attempt: int
    mandates: Sequence[Mandate]
    mandate_of: Sequence[int]
    inquiries: Inquiries


class Spliced(NamedTuple):
    """An encoded reply, and its content."""

    body: bytes
    findings: Findings


class MalformedError(ValueError):
    """The body is not a request in this dialect. The message may be sent to the caller."""


class Splicer(Protocol):
    """Encodes the replies of one institution."""

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, as of `observed_at` seconds since the epoch."""
        ...


class Dialect(NamedTuple):
    """A format of requests and replies."""

    content_type: str
    decode: Callable[[bytes], Batch]
    """Raises MalformedError."""
    splicer: Callable[[Registry], Splicer]


class Templates:
    """The encoded variants of a kind of record, split at their placeholders."""

    def __init__(self, rendered: Iterable[bytes]) -> None:
        """`rendered`: the variants in order, each with the same number of placeholders."""
        self._segments = tuple(zip(*map(_MARKED.split, rendered), strict=True))

    def fill(self, variants: Sequence[int], values: Sequence[Iterable[bytes]]) -> Iterator[bytes]:
        """The records of these variants, with the values filled in: one column for each placeholder."""
        first, *others = ([segment[variant] for variant in variants] for segment in self._segments)
        return map(b"".join, zip(first, *chain.from_iterable(zip(values, others, strict=True)), strict=True))


@cache
def _templates(render: Callable[[Asset], bytes], seed: int, kind: Kind, lengths: tuple[int, ...]) -> Templates:
    """The templates of a kind of record without holders, as encoded by `render`.

    `lengths`: the lengths of its numbers in encoded bytes, which are constant for a kind.
    """
    marks = tuple(mark * length for mark, length in zip(_MARKS, lengths, strict=False))
    return Templates(
        render(catalogue.asset(kind=kind, seed=seed, variant=variant, numbers=marks, holders=()))
        for variant in range(catalogue.VARIANTS)
    )


def templates_for(registry: Registry, render: Callable[[Asset], bytes]) -> Templates:
    """The templates of one institution. Institutions of the same kind share them."""
    lengths = tuple(len(number.encode()) for number in registry.numbers.of(0))
    return _templates(render, registry.seed, registry.institution.kind, lengths)


class EmptyElements:
    """Encoded NOT_FOUND elements of replies by item number. For one second, they are the same at all institutions."""

    def __init__(self, write: Callable[[int, int], bytes]) -> None:
        """`write(item, observed_at)` encodes one element."""
        self._write = write
        self._observed_at = 0
        self._prepared: list[bytes] = []

    def of(self, items: Sequence[int], observed_at: int) -> list[bytes]:
        """The NOT_FOUND elements of `items`."""
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
    """The joined assets of each row."""
    joined: dict[int, bytes] = {}
    for row, asset in zip(holdings.rows, assets, strict=True):
        joined[row] = joined[row] + separator + asset if row in joined else asset
    return joined
