"""One request's side of the fan-out: gathers the answers to what it missed, and reports each lookup when it is whole.

Trio only. An `Aggregator` waits until its rows are whole, its deadline comes, or its caller leaves. The lanes outlive
it; leaving them is telling them so.
"""

from collections.abc import Iterable, Sequence

import trio

from broker.core.planning.chunk import chunk_size
from broker.core.planning.merge import AnswerTable
from broker.core.planning.plan import Row
from broker.core.planning.report_stream import Producer
from broker.core.wire import encoding
from broker.investigation.account import Account
from broker.lanes.fan_out import FanOut
from broker.model import InstitutionSpec, Outcome, Problem, Source

_TIMED_OUT = Problem("DEADLINE", "", "no answer before the request's deadline; ask again, or allow more time")


class Aggregator:
    """What one request waits for: a `Waiter` (core.planning.parcel) for all its parcels.

    State: the table of answers, whether more rows may come (`seal` ends that), and whether anybody waits (`open`).
    """

    def __init__(
        self,
        institutions: Sequence[InstitutionSpec],
        writer: encoding.ReportWriter,
        account: Account,
        producer: Producer,
        *,
        incremental: bool,
        request_id: str,
    ) -> None:
        """`institutions` by column; `producer` takes the encoded reports, and is closed when all rows are whole."""
        self.table = AnswerTable(account.tally)
        self.request_id = request_id
        self.open = True
        self._institutions = institutions
        self._writer = writer
        self._account = account
        self._producer = producer
        self._incremental = incremental
        self._sealed = False
        self._whole = trio.Event()

    def add(self, rows: Sequence[Row], positions: Sequence[int]) -> None:
        """Adds rows, each with the position of its lookup."""
        first = len(self.table)
        self.table.add(rows, positions)
        if self._incremental:
            bodies = [b"".join([segment for segment in row if segment]) for row in rows]
            self._put([self._writer.report(p, b"", body) for p, body in zip(positions, bodies, strict=True) if body])
        if not self.open:  # they come too late: a slow reader can hold planning up beyond the deadline
            self._time_out(range(first, len(self.table)))

    def repeat(self, row: int, position: int) -> None:
        """Lets a row answer one more lookup."""
        if self.table.repeat(row, position):
            self._account.reported += 1
            self._put([self._report(row, position)])
        elif self._incremental and (known := self.table.body(row)):
            self._put([self._writer.report(position, b"", known)])

    def seal(self) -> None:
        """No more rows will come."""
        self._sealed = True
        self._check_whole()

    def deliver(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Waiter`."""
        whole = self.table.take(column, rows, segments=segments, outcomes=outcomes, source=source)
        answering, positions = self.table.answered(whole)
        self._account.reported += len(positions)
        if self._incremental:
            self._put(list(self._increments(rows, segments, set(whole))))
        elif whole:
            self._put(self._reports(answering, positions))
        if self._sealed:  # no lookup of this request will repeat these rows any more
            self.table.forget(whole)
        self._check_whole()

    def fail(self, error: Exception) -> None:
        """See `Waiter`."""
        self.open = False
        self._producer.close(error)
        self._whole.set()

    async def attend(self, fan_out: FanOut, time_left: float) -> None:
        """Waits until all rows are whole.

        After `time_left` seconds, answers what is missing, and whatever is added later, with TIMED_OUT.
        """
        try:
            with trio.move_on_after(max(0.0, time_left)):
                await self._whole.wait()
        finally:
            self.open = False
            if self.table.open_rows:
                with trio.CancelScope(shield=True):
                    await fan_out.forsake([spec.id for spec in self._institutions])
        await self._expire()
        await self._whole.wait()

    def unreported(self) -> bytes:
        """The answers that were counted and not yet put into a report, encoded as reports."""
        if self._incremental:
            return b""
        return b"".join(
            self._writer.report(position, b"", self.table.body(row))
            for row in self.table.unfinished()
            for position in self.table.positions(row)
        )

    async def _expire(self) -> None:
        """Answers everything still awaited with TIMED_OUT, a step of the loop at a time."""
        start, step = 0, chunk_size(len(self._institutions))
        while start < len(self.table) and not self._whole.is_set():
            self._time_out(range(start, min(start + step, len(self.table))))
            start += step
            await trio.lowlevel.checkpoint()

    def _time_out(self, rows: Iterable[int]) -> None:
        content = encoding.content(Outcome.TIMED_OUT, problem=_TIMED_OUT)
        for column, awaiting in self.table.awaiting(rows).items():
            segments = encoding.make_segments(self._institutions[column].id, [content], Source.BROKER) * len(awaiting)
            outcomes = bytes((Outcome.TIMED_OUT,)) * len(awaiting)
            self.deliver(column, awaiting, segments=segments, outcomes=outcomes, source=Source.BROKER)

    def _check_whole(self) -> None:
        if self._sealed and not self.table.open_rows and not self._whole.is_set():
            self._whole.set()
            self._producer.close()

    def _put(self, reports: Sequence[bytes]) -> None:
        if reports:
            self._producer.put(reports)

    def _report(self, row: int, position: int) -> bytes:
        return self._writer.report(position, self._flags(row), self.table.body(row))

    def _reports(self, rows: Sequence[int], positions: Sequence[int]) -> list[bytes]:
        """Reports on whole rows, one for each position, together if they can be."""
        if not self.table.all_complete:
            return [self._report(row, position) for row, position in zip(rows, positions, strict=True)]
        bodies = list(map(self.table.body, rows))
        return self._writer.reports(positions, encoding.FINAL + encoding.COMPLETE, bodies)

    def _flags(self, row: int) -> bytes:
        return encoding.FINAL + encoding.COMPLETE if self.table.complete(row) else encoding.FINAL

    def _increments(self, rows: Sequence[int], segments: Sequence[bytes], whole: set[int]) -> Iterable[bytes]:
        for row, segment in zip(rows, segments, strict=True):
            flags = self._flags(row) if row in whole else b""
            for position in self.table.positions(row):
                yield self._writer.report(position, flags, segment)
