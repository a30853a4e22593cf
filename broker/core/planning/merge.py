"""Puts the answers to the missed lookups of one request together, in whatever order they come.

A *row* is one subject of the request that was not in the cache; several lookups (*positions*) may share it. A row is
whole when no column is awaited any more. `take` says which rows that made whole, so work is proportional to what came
in, not to what is waited for.
"""

from collections.abc import Iterable, Sequence

from broker.core.planning.plan import Row
from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NO_TRANSCRIPT, Transcript
from broker.core.wire import encoding
from broker.model import CONCLUSIVE, Outcome, Source

_CONCLUSIVE = bytes(sorted(CONCLUSIVE))


class AnswerTable:
    """The rows of one request.

    State: the rows themselves, how many columns each still awaits, which rows hold an inconclusive answer, and the
    positions each row answers.
    """

    __slots__ = (
        "_awaited",
        "_forgotten",
        "_inconclusive",
        "_positions",
        "_repeats",
        "_rows",
        "_tally",
        "_transcript",
        "open_rows",
    )

    def __init__(self, tally: Tally, transcript: Transcript = NO_TRANSCRIPT) -> None:
        """`transcript` takes note of every answer that is awaited when it comes."""
        self._tally = tally
        self._transcript = transcript
        self._forgotten: Row = [b""] * len(tally.counts)
        self._rows: list[Row] = []
        self._awaited: list[int] = []
        self._positions: list[int] = []  # the first of each row; further ones are in `_repeats`
        self._repeats: dict[int, list[int]] = {}
        self._inconclusive: set[int] = set()
        self.open_rows = 0
        """Rows that still await something."""

    def add(self, rows: Sequence[Row], positions: Sequence[int]) -> None:
        """Adds rows, each with the first position it answers."""
        self._rows += rows
        self._awaited += [row.count(None) for row in rows]
        self._positions += positions
        self.open_rows += len(rows)

    def repeat(self, row: int, position: int) -> bool:
        """Lets a row answer one more position. True if the row is whole already: report the position at once."""
        self._repeats.setdefault(row, []).append(position)
        for column, segment in enumerate(self._rows[row]):
            if segment:
                outcomes, source = _reading(segment)
                self._count(column, [position], segments=[segment], outcomes=outcomes, source=source)
        return not self._awaited[row]

    def take(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> list[int]:
        """Puts one institution's answers in, aligned with `rows`. Returns the rows that are whole now.

        An answer that is not awaited (the row was closed at the deadline) changes nothing.
        """
        if outcomes.translate(None, _CONCLUSIVE):
            inconclusive = [r for r, o in zip(rows, outcomes, strict=True) if o not in CONCLUSIVE]
            self._inconclusive.update(r for r in inconclusive if self._rows[r][column] is None)
        all_rows, awaited = self._rows, self._awaited
        whole = []
        late: set[int] = set()
        for row, segment in zip(rows, segments, strict=True):
            cells = all_rows[row]
            if cells[column] is not None:
                late.add(row)
                continue
            cells[column] = segment
            awaited[row] -= 1
            if not awaited[row]:
                whole.append(row)
        if late or self._repeats:
            told = [(at, each) for at, row in enumerate(rows) if row not in late for each in self.positions(row)]
            positions = [position for _, position in told]
            segments, outcomes = [segments[at] for at, _ in told], bytes([outcomes[at] for at, _ in told])
        else:
            positions = list(map(self._positions.__getitem__, rows)) if self._transcript.wanted else []
        self._count(column, positions, segments=segments, outcomes=outcomes, source=source)
        self.open_rows -= len(whole)
        return whole

    def _count(
        self, column: int, positions: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """Counts and notes the answers of one institution, one for each position."""
        self._tally.add(column, outcomes, source)
        if self._transcript.wanted:
            self._transcript.answered(column, positions, segments=segments, outcomes=outcomes, source=source)

    def close(self, row: int, segments: Sequence[bytes], *, outcome: Outcome, source: Source) -> list[int]:
        """Puts the broker's own answer into whatever column a row still awaits. Returns these columns.

        `segments`, by column, all have this outcome and source.
        """
        cells = self._rows[row]
        columns = [column for column, segment in enumerate(cells) if segment is None]
        if columns:
            for column in columns:
                cells[column] = segments[column]
            if outcome not in CONCLUSIVE:
                self._inconclusive.add(row)
            self._tally.counts[columns, source, outcome] += len(self.positions(row))
            for position in self.positions(row):
                self._transcript.closed(columns, position, outcome=outcome, source=source)
            self._awaited[row] = 0
            self.open_rows -= 1
        return columns

    def forget(self, rows: Iterable[int]) -> None:
        """Lets go of the answers in whole rows, which have been reported and will not be repeated."""
        for row in rows:
            self._rows[row] = self._forgotten

    @property
    def columns(self) -> int:
        """How many institutions there are."""
        return len(self._forgotten)

    def __len__(self) -> int:
        """Rows, open and whole."""
        return len(self._rows)

    def unfinished(self) -> list[int]:
        """The rows that still await something."""
        return [row for row, awaited in enumerate(self._awaited) if awaited]

    def positions(self, row: int) -> Sequence[int]:
        """The positions a row answers."""
        return [self._positions[row], *self._repeats.get(row, ())]

    def answered(self, rows: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """All positions these rows answer, with the row of each: aligned columns, rows first."""
        if not self._repeats:
            return rows, [self._positions[row] for row in rows]
        spread = [row for row in rows for _ in self.positions(row)]
        return spread, [position for row in rows for position in self.positions(row)]

    def complete(self, row: int) -> bool:
        """Whether every answer in the row is conclusive."""
        return row not in self._inconclusive

    @property
    def all_complete(self) -> bool:
        """Whether every row is."""
        return not self._inconclusive

    def body(self, row: int) -> bytes:
        """The answers known, encoded, in order of their institutions."""
        return b"".join(filter(None, self._rows[row]))


def _reading(segment: bytes) -> tuple[bytes, Source]:
    return bytes((encoding.outcome_of(segment),)), Source(segment[-1])
