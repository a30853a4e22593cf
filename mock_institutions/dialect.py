"""What the two dialects, JSON and protobuf, have in common.

Replies are spliced, not built: every variant of a record is encoded once, from its type, with marks where the numbers
go, and a reply joins those bytes with the bytes of what differs. A test holds the result against the typed reply.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, Protocol

from mock_institutions import catalogue
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
    """A reply ready to send, and the rows of the inquiries in it which got neither FOUND nor NOT_FOUND."""

    body: bytes
    refused: Sequence[int]


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


@cache
def templates(render: Callable[[Asset], bytes], seed: int, kind: Kind, lengths: tuple[int, ...]) -> tuple[bytes, ...]:
    """Every variant of a kind's record without holders, as `render` writes it, for `template % numbers`.

    `lengths`: of the kind's numbers, in encoded bytes; a kind's numbers all have the same.
    """
    marks = tuple(mark * length for mark, length in zip(_MARKS, lengths, strict=False))
    return tuple(
        _MARKED.sub(b"%b", render(asset).replace(b"%", b"%%"))
        for asset in (
            catalogue.asset(kind=kind, seed=seed, variant=variant, numbers=marks, holders=())
            for variant in range(catalogue.VARIANTS)
        )
    )


def templates_for(registry: Registry, render: Callable[[Asset], bytes]) -> tuple[bytes, ...]:
    """The templates for one institution's records."""
    lengths = tuple(len(number.encode()) for number in registry.numbers.of(0))
    return templates(render, registry.seed, registry.institution.kind, lengths)
