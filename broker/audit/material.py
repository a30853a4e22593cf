"""What is sealed beside entries: whom a request was about, and what was answered. Encoded a batch at a time.

Of an admitted request, `Inquired`:

    size        u32      of the JSON
    JSON                 {"institutions": [ids], "lookups": number, "standards": [[lookup, commitment], ...]}
    commitments          16 bytes for each lookup, in the order of the request

Of one that has ended: blocks, each of which begins with its kind. Columns are indexes of `institutions`, positions are
indexes of the lookups. All numbers are little-endian.

    1           u8       hits: the same institutions' answers from the cache
    columns     u32      how many
    count       u32      lookups
                         columns u32, positions u32, heads of records (`core.wire.record.heads_of`)

    2           u8       answers of one institution
    source      u8
    column      u32
    count       u32
                         positions u32, outcomes u8, observed u32
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from broker.core.subjects.key import SIZE as COMMITMENT_SIZE
from broker.core.wire.record import heads_of
from broker.model import Source

_SIZE = Struct("<I")
_HITS = Struct("<BII")
_ANSWERS = Struct("<BBII")
_HITS_KIND, _ANSWERS_KIND = 1, 2
_NUMBER = np.dtype("<u4")

Piece = bytes | memoryview


class Inquired(NamedTuple):
    """Whom a request is about, and which institutions it selected."""

    institutions: tuple[str, ...]
    """Ids; their order gives the columns."""
    commitments: bytes
    """16 bytes for each lookup, in the order of the request."""
    standards: Mapping[int, bytes] = {}
    """Commitments to standard spellings of names, by lookup, where another one was sent."""

    def encode(self) -> list[Piece]:
        """The bytes, in pieces."""
        lookups = len(self.commitments) // COMMITMENT_SIZE
        standards = tuple((position, each.hex()) for position, each in self.standards.items())
        head = msgspec.json.encode(_InquiredHead(self.institutions, lookups, standards))
        return [_SIZE.pack(len(head)), head, self.commitments]

    def positions(self, commitment: bytes) -> list[int]:
        """The positions of the lookups about the subject that has this commitment."""
        found, at = [], self.commitments.find(commitment)
        while at >= 0:
            if at % COMMITMENT_SIZE == 0:
                found.append(at // COMMITMENT_SIZE)
            at = self.commitments.find(commitment, at + 1)
        return found + [position for position, each in self.standards.items() if each == commitment]


class _InquiredHead(msgspec.Struct, frozen=True, omit_defaults=True):
    institutions: tuple[str, ...]
    lookups: int
    standards: tuple[tuple[int, str], ...] = ()


class HitsBlock(NamedTuple):
    """Answers from the cache, of the same m institutions about n lookups."""

    columns: tuple[int, ...]
    """m of them, in the order of the heads."""
    positions: NDArray[np.uint32]
    """Shape (n,)."""
    heads: bytes
    """n heads of records (`core.wire.record.heads_of(m)`): outcomes, observed and expires of each institution."""


class AnswersBlock(NamedTuple):
    """One institution's answers about n lookups."""

    column: int
    positions: NDArray[np.uint32]
    """Shape (n,)."""
    outcomes: bytes
    """n of them."""
    observed: NDArray[np.uint32]
    """Shape (n,), seconds since the epoch."""
    source: int


Block = HitsBlock | AnswersBlock


class AnswerColumn(NamedTuple):
    """The answers of one institution in one block."""

    column: int
    positions: NDArray[np.uint32]
    outcomes: NDArray[np.uint8]
    observed: NDArray[np.uint32]
    source: int


def encode_blocks(blocks: Iterable[Block]) -> list[Piece]:
    """The bytes of blocks, in pieces: a few for each block, whatever its size."""
    pieces: list[Piece] = []
    for block in blocks:
        if isinstance(block, HitsBlock):
            pieces += (
                _HITS.pack(_HITS_KIND, len(block.columns), len(block.positions)),
                np.array(block.columns, _NUMBER).tobytes(),
                block.positions.astype(_NUMBER, copy=False).tobytes(),
                block.heads,
            )
        else:
            pieces += (
                _ANSWERS.pack(_ANSWERS_KIND, block.source, block.column, len(block.positions)),
                block.positions.astype(_NUMBER, copy=False).tobytes(),
                block.outcomes,
                block.observed.astype(_NUMBER, copy=False).tobytes(),
            )
    return pieces


def decode_inquired(encoded: bytes) -> Inquired:
    """The inverse of `Inquired.encode`. Raises `ValueError`."""
    reader = _Reader(encoded)
    (size,) = reader.numbers(_SIZE)
    head = msgspec.json.decode(reader.take(size), type=_InquiredHead)
    commitments = reader.take(head.lookups * COMMITMENT_SIZE)
    reader.end()
    return Inquired(head.institutions, commitments, {at: bytes.fromhex(each) for at, each in head.standards})


def decode_blocks(encoded: bytes) -> Iterator[Block]:
    """The inverse of `encode_blocks`. Raises `ValueError`."""
    reader = _Reader(encoded)
    while kind := reader.peek():
        if kind == _HITS_KIND:
            _, width, count = reader.numbers(_HITS)
            columns = tuple(reader.array(width).tolist())
            positions = reader.array(count)
            yield HitsBlock(columns, positions, reader.take(count * heads_of(width).itemsize))
        elif kind == _ANSWERS_KIND:
            _, source, column, count = reader.numbers(_ANSWERS)
            yield AnswersBlock(column, reader.array(count), reader.take(count), reader.array(count), source)
        else:
            msg = f"a block of the unknown kind {kind}"
            raise ValueError(msg)
    reader.end()


def answer_columns(blocks: Iterable[Block]) -> Iterator[AnswerColumn]:
    """The answers in blocks, by institution."""
    for block in blocks:
        if isinstance(block, AnswersBlock):
            outcomes = np.frombuffer(block.outcomes, np.uint8)
            yield AnswerColumn(block.column, block.positions, outcomes, block.observed, block.source)
        else:
            heads: NDArray[Any] = np.frombuffer(block.heads, heads_of(len(block.columns)))
            for at, column in enumerate(block.columns):
                outcomes, observed = heads["outcomes"][:, at], heads["each"]["observed"][:, at]
                yield AnswerColumn(column, block.positions, outcomes, observed, Source.CACHE)


class _Reader:
    """Reads bytes from front to back. State: how far."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def peek(self) -> int:
        """The next byte; 0 at the end."""
        return self._content[self._at] if self._at < len(self._content) else 0

    def take(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("material ends too early")
        self._at += size
        return taken

    def numbers(self, layout: Struct) -> Sequence[int]:
        return layout.unpack(self.take(layout.size))

    def array(self, count: int) -> NDArray[np.uint32]:
        return np.frombuffer(self.take(count * _NUMBER.itemsize), _NUMBER)

    def end(self) -> None:
        if self._at < len(self._content):
            raise ValueError("material goes on after its end")
