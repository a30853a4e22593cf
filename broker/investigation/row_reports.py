"""The reports on a request's rows: as increments when answers come, or each as a whole when nothing is awaited.

At 4,000 institutions one answer can make many rows whole, each with hundreds of kilobytes. So what is more than a step
of the loop should write is left `due`, and written a part at a time.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from broker.core.planning.chunk import chunk_size
from broker.core.planning.merge import AnswerTable
from broker.core.planning.plan import Row
from broker.core.planning.report_stream import Producer
from broker.core.wire import encoding
from broker.investigation.account import Account


class RowReports:
    """State: rows that are whole and have not been reported, and whether further lookups may repeat rows."""

    def __init__(
        self,
        table: AnswerTable,
        writer: encoding.ReportWriter,
        account: Account,
        producer: Producer,
        *,
        incremental: bool,
    ) -> None:
        """`producer` takes the encoded reports."""
        self._table = table
        self._writer = writer
        self._account = account
        self._producer = producer
        self._incremental = incremental
        self._at_once = chunk_size(table.columns)
        self._due: dict[int, None] = {}
        self.sealed = False
        """Whether no lookup will repeat a row any more."""

    @property
    def due(self) -> bool:
        """Whether something is left to be written."""
        return bool(self._due)

    def add(self, rows: Sequence[Row], positions: Sequence[int]) -> None:
        """Reports what is known of new rows, if increments are wanted."""
        if self._incremental:
            bodies = [b"".join([segment for segment in row if segment]) for row in rows]
            self._put([self._writer.report(p, b"", body) for p, body in zip(positions, bodies, strict=True) if body])

    def repeat(self, row: int, position: int, *, is_whole: bool) -> None:
        """Reports to one more lookup what is known of a row."""
        if row in self._due:
            return
        if is_whole:
            self._account.reported += 1
            self._put([self._report(row, position)])
        elif self._incremental and (known := self._table.body(row)):
            self._put([self._writer.report(position, b"", known)])

    def take(self, rows: Sequence[int], segments: Sequence[bytes], whole: Sequence[int]) -> None:
        """Reports answers, one or several to each row, some of which they made whole."""
        if self._incremental:
            self._put(list(self._increments(rows, segments, frozenset(whole))))
            self._count(whole)
        elif whole:
            if self._due or len(whole) > self._at_once:
                self._due.update(dict.fromkeys(whole))
            else:
                self._write(whole)

    def write_some(self) -> None:
        """Writes as much of what is due as one step of the loop should."""
        rows = list(islice(self._due, self._at_once))
        for row in rows:
            del self._due[row]
        self._write(rows)

    def unreported(self) -> bytes:
        """The answers that were counted and not yet put into a report, encoded as reports."""
        if self._incremental:
            return b""
        return b"".join(
            self._writer.report(position, b"", self._table.body(row))
            for row in [*self._table.unfinished(), *self._due]
            for position in self._table.positions(row)
        )

    def _write(self, whole: Sequence[int]) -> None:
        rows, positions = self._table.answered(whole)
        if self._table.all_complete:
            bodies = list(map(self._table.body, rows))
            self._put(self._writer.reports(positions, encoding.FINAL + encoding.COMPLETE, bodies))
        else:
            self._put([self._report(row, position) for row, position in zip(rows, positions, strict=True)])
        self._count(whole)

    def _count(self, whole: Sequence[int]) -> None:
        """Takes note that these rows have been reported."""
        self._account.reported += len(self._table.answered(whole)[0])
        if self.sealed:
            self._table.forget(whole)

    def _put(self, reports: Sequence[bytes]) -> None:
        if reports:
            self._producer.put(reports)

    def _report(self, row: int, position: int) -> bytes:
        return self._writer.report(position, self._flags(row), self._table.body(row))

    def _flags(self, row: int) -> bytes:
        return encoding.FINAL + encoding.COMPLETE if self._table.complete(row) else encoding.FINAL

    def _increments(self, rows: Sequence[int], segments: Sequence[bytes], whole: frozenset[int]) -> Iterable[bytes]:
        for row, segment in zip(rows, segments, strict=True):
            flags = self._flags(row) if row in whole else b""
            for position in self._table.positions(row):
                yield self._writer.report(position, flags, segment)
