"""One request's side of the fan-out: has inquiries made, gathers the answers, reports each lookup when it is whole.

Trio only. An `Aggregator` works until its rows are whole, its deadline comes, or its caller leaves. The lanes outlive
it; leaving them is telling them so. What it does takes as many steps of the loop as needed (`StepBudget`).
"""

from collections import deque
from collections.abc import Sequence

import trio

from broker.core.planning.merge import AnswerTable
from broker.core.planning.parcel import Submission
from broker.core.planning.plan import Row
from broker.core.planning.report_stream import Producer
from broker.core.wire import encoding
from broker.investigation.account import Account
from broker.investigation.row_reports import RowReports
from broker.lanes.fan_out import FanOut
from broker.loops.step_budget import STEP, StepBudget
from broker.model import InstitutionSpec, Outcome, Problem, Source

_TIMED_OUT = Problem("DEADLINE", "", "no answer before the request's deadline; ask again, or allow more time")
_TIME_OUT = 0.5  # µs to answer one inquiry with that
_REPORT = STEP  # µs to write what is due: a chunk of lookups


class Aggregator:
    """What one request waits for: a `Waiter` (core.planning.parcel) for all its parcels.

    State: the table of answers, what is to be asked and reported, whether more rows may come (`seal` ends that), and
    whether anybody waits (`open`).
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
        self.table = AnswerTable(account.tally, account.transcript)
        self.request_id = request_id
        self.open = True
        self._institutions = institutions
        self._producer = producer
        self._reports = RowReports(self.table, writer, account, producer, incremental=incremental)
        self._submissions: deque[Submission] = deque()
        self._changed = trio.Event()

    def add(self, rows: Sequence[Row], positions: Sequence[int]) -> None:
        """Adds rows, each with the position of its lookup."""
        self.table.add(rows, positions)
        self._reports.add(rows, positions)
        if not self.open:  # they come too late: a slow reader can hold planning up beyond the deadline
            self._changed.set()

    def ask(self, submission: Submission) -> None:
        """Has institutions asked about rows that were added, unless the deadline has passed."""
        self._submissions.append(submission)
        self._changed.set()

    def repeat(self, row: int, position: int) -> None:
        """Lets a row answer one more lookup."""
        is_whole = self.table.repeat(row, position)
        self._reports.repeat(row, position, is_whole=is_whole)

    def seal(self) -> None:
        """No more rows will come."""
        self._reports.sealed = True
        self._check_whole()

    def deliver(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Waiter`."""
        whole = self.table.take(column, rows, segments=segments, outcomes=outcomes, source=source)
        self._reports.take(rows, segments, whole)
        if self._reports.due:
            self._changed.set()
        self._check_whole()

    def fail(self, error: Exception) -> None:
        """See `Waiter`."""
        self.open = False
        self._producer.close(error)
        self._changed.set()

    async def attend(self, fan_out: FanOut, time_left: float) -> None:
        """Does what is to be done until all rows are whole and reported.

        After `time_left` seconds, answers what is missing, and whatever is added later, with TIMED_OUT.
        """
        try:
            with trio.move_on_after(max(0.0, time_left)):
                while self._producer.is_open:
                    await self._wait()
                    await self._ask_all(fan_out)
                    await self._report_all(fan_out.budget)
        finally:
            self.open = False
            if self.table.open_rows:
                with trio.CancelScope(shield=True):
                    await fan_out.forsake([spec.id for spec in self._institutions])
        await self._expire(fan_out.budget)

    def unreported(self) -> bytes:
        """See `RowReports`."""
        return self._reports.unreported()

    async def _wait(self) -> None:
        await self._changed.wait()
        self._changed = trio.Event()

    async def _ask_all(self, fan_out: FanOut) -> None:
        while self._submissions:
            await fan_out.submit(self._submissions.popleft(), self._institutions)

    async def _report_all(self, budget: StepBudget) -> None:
        while self._reports.due:
            await budget.spend(_REPORT)
            self._reports.write_some()
            self._check_whole()

    async def _expire(self, budget: StepBudget) -> None:
        """Answers everything still awaited with TIMED_OUT."""
        content = encoding.content(Outcome.TIMED_OUT, problem=_TIMED_OUT)
        segments: list[bytes] = []
        rows = 0
        while self._producer.is_open:
            await self._report_all(budget)
            while rows < len(self.table) and self._producer.is_open:
                await budget.spend(_TIME_OUT * len(self._institutions))
                segments = segments or [
                    encoding.make_segments(spec.id, [content], Source.BROKER)[0] for spec in self._institutions
                ]
                self._time_out(rows, segments)
                rows += 1
            if self._producer.is_open:
                await self._wait()

    def _time_out(self, row: int, segments: Sequence[bytes]) -> None:
        columns = self.table.close(row, segments, outcome=Outcome.TIMED_OUT, source=Source.BROKER)
        if columns:
            self._reports.take([row], [b"".join([segments[column] for column in columns])], [row])
            self._check_whole()

    def _check_whole(self) -> None:
        if self._reports.sealed and not self.table.open_rows and not self._reports.due and self._producer.is_open:
            self._producer.close()
            self._changed.set()
