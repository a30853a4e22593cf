"""Puts the answers to the missed lookups of one request together, in whatever order they come.

A *row* is one subject of the request that was not in the cache; several lookups (*positions*) may share it. A row is
whole when no column is awaited any more. `take` says which rows that made whole, so work is proportional to what came
in, not to what is waited for.
"""

from collections.abc import Iterable, Sequence

from broker.core import wire
from broker.core.plan import Row
from broker.core.tally import Tally
from broker.model import CONCLUSIVE, Source

_CONCLUSIVE = bytes(sorted(CONCLUSIVE))


class Assembly:
    """The rows of one request.

    State: the rows themselves, how many columns each still awaits, which rows hold an inconclusive answer, and the
    positions each row answers.
    """

    __slots__ = ("_awaited", "_forgotten", "_inconclusive", "_positions", "_rows", "_tally", "open_rows")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._forgotten: Row = [b""] * len(tally.counts)
        self._rows: list[Row] = []
        self._awaited: list[int] = []
        self._positions: list[list[int]] = []
        self._inconclusive: set[int] = set()
        self.open_rows = 0
        """Rows that still await something."""

    def add(self, rows: Iterable[Row], positions: Iterable[int]) -> None:
        """Adds rows, each with the first position it answers."""
        for row, position in zip(rows, positions, strict=True):
            self._rows.append(row)
            self._awaited.append(row.count(None))
            self._positions.append([position])
            self.open_rows += 1

    def repeat(self, row: int, position: int) -> bool:
        """Lets a row answer one more position. True if the row is whole already: report the position at once."""
        self._positions[row].append(position)
        for column, segment in enumerate(self._rows[row]):
            if segment:
                self._tally.add(column, *_reading(segment))
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
        whole = []
        counted = bytearray()
        for row, segment, outcome in zip(rows, segments, outcomes, strict=True):
            cells = self._rows[row]
            if cells[column] is not None:
                continue
            cells[column] = segment
            positions = self._positions[row]
            counted.append(outcome)
            if len(positions) > 1:
                counted.extend([outcome] * (len(positions) - 1))
            self._awaited[row] -= 1
            if not self._awaited[row]:
                whole.append(row)
        self._tally.add(column, bytes(counted), source)
        self.open_rows -= len(whole)
        return whole

    def forget(self, rows: Iterable[int]) -> None:
        """Lets go of the answers in whole rows, which have been reported and will not be repeated."""
        for row in rows:
            self._rows[row] = self._forgotten

    def awaiting(self) -> dict[int, list[int]]:
        """By column: the rows that still await its answer."""
        missing: dict[int, list[int]] = {}
        for number, (row, awaited) in enumerate(zip(self._rows, self._awaited, strict=True)):
            if awaited:
                for column, segment in enumerate(row):
                    if segment is None:
                        missing.setdefault(column, []).append(number)
        return missing

    def positions(self, row: int) -> Sequence[int]:
        """The positions a row answers."""
        return self._positions[row]

    def complete(self, row: int) -> bool:
        """Whether every answer in the row is conclusive."""
        return row not in self._inconclusive

    @property
    def all_complete(self) -> bool:
        """Whether every row is."""
        return not self._inconclusive

    def body(self, row: int) -> bytes:
        """The answers known, encoded, in order of their institutions."""
        return b"".join([segment for segment in self._rows[row] if segment])


def _reading(segment: bytes) -> tuple[bytes, Source]:
    return bytes((wire.outcome_of(segment),)), Source(segment[-1])
