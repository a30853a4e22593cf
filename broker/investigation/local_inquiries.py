"""What this worker asks for a request: the lookups it owns and misses.

A chunk of lookups is what one step of the loop can plan; a submission is what is worth a call to an institution. With
many institutions, the misses of several chunks make one submission.
"""

from broker.core.planning.chunk import Chunk
from broker.core.planning.gathered_misses import GatheredMisses
from broker.core.planning.plan import Plan
from broker.core.subjects.request_id import loggable
from broker.core.wire import encoding
from broker.errors import BrokerError
from broker.investigation.account import Account
from broker.investigation.aggregation import Aggregator
from broker.investigation.context import ExecutionContext, Order
from broker.loops.bridge import TaskHandle
from broker.loops.report_queue import ReportQueue
from broker.model import Delivery

_BATCH = 500  # lookups missed that make a submission: as many inquiries as institutions mostly take in a call


class LostReportsError(BrokerError):
    """Not every lookup has been reported on: a fault of the broker, which must not look like an answer."""


class LocalInquiries:
    """State: what was missed and not submitted; the aggregator on the trio side and the task that attends to it."""

    def __init__(
        self,
        context: ExecutionContext,
        order: Order,
        writer: encoding.ReportWriter,
        account: Account,
        queue: ReportQueue,
    ) -> None:
        self._context = context
        self._order = order
        self._writer = writer
        self._account = account
        self._queue = queue
        self._aggregator: Aggregator | None = None
        self._task: TaskHandle | None = None
        self._gathered = GatheredMisses()

    @property
    def complete(self) -> bool:
        """Whether every answer to what was asked here is conclusive."""
        return self._aggregator is None or self._aggregator.table.all_complete

    def ask(self, planned: Plan, chunk: Chunk, *, first_row: int) -> None:
        """Has asked what a chunk has missed, perhaps together with later chunks; the rows count from `first_row`."""
        aggregator = self._aggregator or self._open()
        missed = [chunk.positions[index] for index in planned.misses]
        repeated = [(row, chunk.positions[index]) for row, index in planned.repeats]

        def add() -> None:
            aggregator.add(planned.rows, missed)
            for row, position in repeated:
                aggregator.repeat(row, position)

        self._context.bridge.call_soon(add, aggregator.fail)
        self._gathered.add(planned, chunk, first_row=first_row)
        if len(self._gathered) >= _BATCH:
            self._submit(aggregator)

    def seal(self) -> None:
        """Nothing more will be asked."""
        if self._aggregator is not None:
            self._submit(self._aggregator)
            self._context.bridge.call_soon(self._aggregator.seal, self._aggregator.fail)

    def _submit(self, aggregator: Aggregator) -> None:
        """Submits what was gathered. After the deadline nobody is asked; the aggregator answers TIMED_OUT."""
        request, gathered = self._order.request, self._gathered
        self._gathered = GatheredMisses()
        if len(gathered) and self._order.time_left > 0:
            submission = gathered.submission(aggregator, request)
            self._context.bridge.call_soon(lambda: aggregator.ask(submission), aggregator.fail)

    def cancel(self) -> None:
        """Ends whatever is still in flight for this request alone."""
        if self._task is not None:
            self._task.cancel()

    def unreported(self) -> bytes:
        """See `Aggregator`."""
        return b"" if self._aggregator is None else self._aggregator.unreported()

    def _open(self) -> Aggregator:
        producer = self._queue.open_producer()
        aggregator = self._aggregator = Aggregator(
            self._order.selection.institutions,
            self._writer,
            self._account,
            producer,
            incremental=self._order.request.delivery is Delivery.INCREMENTAL,
            request_id=loggable(self._order.request.request_id),
        )

        def ended(error: BaseException | None) -> None:
            producer.close(error or LostReportsError())  # which does nothing if it is closed, since all is reported

        self._task = self._context.bridge.start(
            lambda: aggregator.attend(self._context.fanout, self._order.time_left), ended
        )
        return aggregator
