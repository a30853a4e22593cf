"""What this worker asks for a request: the lookups it owns and misses, one parcel per institution."""

from broker.core.planning.chunk import Chunk
from broker.core.planning.parcel import Parcel
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


class LostReportsError(BrokerError):
    """Not every lookup has been reported on: a fault of the broker, which must not look like an answer."""


class LocalInquiries:
    """State: once something was missed, the aggregator on the trio side and the task that attends to it."""

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

    @property
    def complete(self) -> bool:
        """Whether every answer to what was asked here is conclusive."""
        return self._aggregator is None or self._aggregator.table.all_complete

    def ask(self, planned: Plan, chunk: Chunk, *, first_row: int) -> None:
        """Submits what a chunk has missed; the plan's rows are numbered from `first_row`.

        After the deadline nobody is asked; the aggregator answers TIMED_OUT.
        """
        aggregator = self._aggregator or self._open()
        parcels: dict[str, Parcel] = {}
        if self._order.time_left > 0:
            parcels = self._parcels(planned, chunk, aggregator, first_row)
        missed = [chunk.positions[index] for index in planned.misses]
        keys = [chunk.columns.keys[index] for index in planned.misses]
        repeated = [(row, chunk.positions[index]) for row, index in planned.repeats]

        def submit() -> None:
            aggregator.add(planned.rows, missed)
            for row, position in repeated:
                aggregator.repeat(row, position)
            if parcels:
                self._context.fanout.submit(parcels, keys, max_age=self._order.request.max_age)

        self._context.bridge.call_soon(submit, aggregator.fail)

    def seal(self) -> None:
        """Nothing more will be asked."""
        if self._aggregator is not None:
            self._context.bridge.call_soon(self._aggregator.seal, self._aggregator.fail)

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

    def _parcels(self, planned: Plan, chunk: Chunk, aggregator: Aggregator, first_row: int) -> dict[str, Parcel]:
        indices, columns = planned.misses, chunk.columns
        subjects = columns.subjects[:]
        missed = Parcel(
            waiter=aggregator,
            column=-1,
            mandate=self._order.request.mandate,
            priority=self._order.request.priority,
            keys=[columns.keys[index] for index in indices],
            subjects=[subjects[index] for index in indices],
            rows=range(first_row, first_row + len(indices)),
        )
        return {
            self._order.selection.institutions[column].id: missed.addressed(column, asked)
            for column, asked in planned.asked.items()
        }
