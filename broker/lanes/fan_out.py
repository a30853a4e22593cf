"""Asks every institution at once and gathers what they say. Trio only.

A `Aggregator` is one request's side of it: it waits until its rows are whole, its deadline comes, or its caller leaves.
The lanes outlive it; leaving them is telling them so.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from broker.core.planning.merge import AnswerTable
from broker.core.planning.parcel import Parcel
from broker.core.planning.plan import Row
from broker.core.wire import encoding
from broker.lanes.lane import Lane
from broker.model import InstitutionSpec, Outcome, Problem, Source

_TIMED_OUT = Problem("DEADLINE", "", "no answer before the request's deadline; ask again, or allow more time")


class Aggregator:
    """What one request waits for: a `Waiter` (core.parcel) for all its parcels.

    State: the table, whether more rows may come (`seal` ends that), and whether anybody still waits (`open`).
    """

    def __init__(
        self,
        table: AnswerTable,
        institutions: Sequence[InstitutionSpec],
        writer: encoding.ReportWriter,
        *,
        incremental: bool,
        put: Callable[[list[bytes]], None],
        whole: Callable[[], None],
    ) -> None:
        """`institutions` by column; `put` takes encoded reports; `whole` is called right after the last were put."""
        self.table = table
        self._institutions = institutions
        self._writer = writer
        self._incremental = incremental
        self._put = put
        self._say_whole = whole
        self._sealed = False
        self._whole = trio.Event()
        self.open = True
        self.reported = 0
        """Lookups that have had their final report."""

    def add(self, rows: Sequence[Row], positions: Sequence[int]) -> None:
        """Adds rows, each with the position of its lookup."""
        self.table.add(rows, positions)
        if self._incremental:
            bodies = [b"".join([segment for segment in row if segment]) for row in rows]
            self._put([self._writer.report(p, b"", body) for p, body in zip(positions, bodies, strict=True) if body])
        if not self.open:  # they come too late: a slow reader can hold planning up beyond the deadline
            self.time_out()

    def seal(self) -> None:
        """No more rows will come."""
        self._sealed = True
        self._check_whole()

    @property
    def whole(self) -> bool:
        """Whether every row is, and none will come."""
        return self._whole.is_set()

    async def wait_whole(self) -> None:
        """Waits until it is whole."""
        await self._whole.wait()

    def repeat(self, row: int, position: int) -> None:
        """Lets a row answer one more lookup."""
        if self.table.repeat(row, position):
            self.reported += 1
            self._put([self._report(row, position)])
        elif self._incremental and (known := self.table.body(row)):
            self._put([self._writer.report(position, b"", known)])

    def deliver(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Waiter`."""
        whole = self.table.take(column, rows, segments=segments, outcomes=outcomes, source=source)
        answering, positions = self.table.answered(whole)
        self.reported += len(positions)
        if self._incremental:
            self._put(list(self._increments(rows, segments, set(whole))))
        elif whole:
            self._put(self._reports(answering, positions))
        if self._sealed:  # no lookup of this request will repeat these rows any more
            self.table.forget(whole)
        self._check_whole()

    def time_out(self) -> None:
        """Answers everything still awaited with TIMED_OUT."""
        content = encoding.content(Outcome.TIMED_OUT, problem=_TIMED_OUT)
        for column, rows in self.table.awaiting().items():
            segments = encoding.make_segments(self._institutions[column].id, [content], Source.BROKER) * len(rows)
            outcomes = bytes((Outcome.TIMED_OUT,)) * len(rows)
            self.deliver(column, rows, segments=segments, outcomes=outcomes, source=Source.BROKER)

    def _check_whole(self) -> None:
        if self._sealed and not self.table.open_rows and not self.whole:
            self._whole.set()
            self._say_whole()

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


class FanOut:
    """All lanes of this worker."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.lanes: Mapping[str, Lane] = {lane.spec.id: lane for lane in lanes}

    async def run(self) -> None:
        """Serves the lanes until cancelled."""
        async with trio.open_nursery() as nursery:
            for lane in self.lanes.values():
                nursery.start_soon(lane.run)

    def submit(self, parcels: Mapping[str, Parcel]) -> None:
        """Puts parcels into the lanes of the institutions they are for."""
        for institution_id, parcel in parcels.items():
            self.lanes[institution_id].submit(parcel)

    async def attend(self, aggregator: Aggregator, time_left: float) -> None:
        """Waits until a aggregator is whole.

        After `time_left` seconds answers what is missing, and whatever is added later, with TIMED_OUT.
        """
        try:
            with trio.move_on_after(max(0.0, time_left)):
                await aggregator.wait_whole()
        finally:
            aggregator.open = False
            if aggregator.table.open_rows:
                for lane in self.lanes.values():
                    lane.forsake()
        aggregator.time_out()
        await aggregator.wait_whole()
