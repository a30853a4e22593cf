"""One request in progress: lookups are planned chunk by chunk, misses followed until each lookup is reported on.

    chunk ─▶ read the store ─▶ plan ─┬─ hits ──────▶ sent at once
                                     ├─ misses ────▶ `LocalInquiries`, through the bridge to the lanes
                                     └─ elsewhere ─▶ `Forwarding`, to the peers that own their subjects

Both put their reports into one queue (`ReportSender`), which ends when all who can add to it are done
(core.planning.report_stream).
"""

from collections.abc import Mapping, Sequence

from broker.core.planning.chunk import Chunk, chunk_size, work
from broker.core.planning.freshness import Freshness
from broker.core.planning.ownership import ALONE, Ownership
from broker.core.planning.plan import Lines, Plan, plan
from broker.core.wire import encoding
from broker.investigation.account import Account
from broker.investigation.context import NOT_RECORDED, ExecutionContext, Order, Recording, Write
from broker.investigation.forwarding import Forwarding
from broker.investigation.local_inquiries import LocalInquiries, LostReportsError
from broker.investigation.report_sender import ReportSender
from broker.model import Delivery, Outcome, Priority, Problem, Request, Source
from broker.peers.grouping import OwnerGroups

# Records read at a time: some two milliseconds, after which others get their turns of the loop. Half as many cost hits
# a tenth of their rate when it was tried.
_AT_ONCE = 500


class Execution:
    """State: the rows of what was missed, the account, and the parts of the request that are in flight."""

    def __init__(
        self,
        context: ExecutionContext,
        order: Order,
        heads: Sequence[bytes] | Mapping[int, bytes],
        write: Write,
        *,
        ownership: Ownership,
        recording: Recording = NOT_RECORDED,
    ) -> None:
        """`heads` by position (`LookupColumns.heads`). `ownership`: what need not be forwarded."""
        columns = {spec.id: column for column, spec in enumerate(order.selection.institutions)}
        self.account = Account(columns, recording.transcript)
        self._recording = recording
        self._context = context
        self._order = order
        self._lookups = len(heads)
        self._writer = encoding.ReportWriter(heads)
        self._ownership = ownership
        self._rows: dict[bytes, int] = {}
        self._sender = ReportSender(write, gathers=_may_gather(order.request))
        queue = self._sender.queue
        self._local = LocalInquiries(context, order, self._writer, self.account, queue)
        self._forwarding = Forwarding(context, order, self.account, queue, self._finish)

    @property
    def complete(self) -> bool:
        """Whether every answer given is conclusive."""
        return self.account.complete and self._local.complete

    async def run(self, chunks: Sequence[Chunk]) -> bytes:
        """Streams reports until the order's deadline at most. Returns what the end of the stream is to be sent with.

        These are the last reports, joined, if they are too few to be worth a message of their own.
        """
        planning = self._sender.queue.open_producer()
        groups = OwnerGroups(chunks)
        reports: list[bytes] = []
        try:
            for chunk in chunks:
                await self._sender.send(reports)
                reports = await self._take_up(chunk, await self._read(chunk.columns.keys), groups)
            self._forwarding.forward(groups.rest())
            self._local.seal()
            planning.close()
            if (whole := self._sender.whole(reports)) is not None:
                reports = [whole]
                await self._recording.answered(whole, self.account.tally, self.account.reported)
            last = await self._sender.finish(reports)
            if self.account.reported != self._lookups:
                raise LostReportsError
            return last
        finally:
            self._local.cancel()
            self._forwarding.cancel()

    def was_sent(self) -> None:
        """To be called when what `run` returned is given to the transport."""
        self._sender.acknowledge_last()

    def settle_account(self) -> None:
        """Brings the account in line with what was really sent; to be called once, however the stream has ended."""
        self._forwarding.count_passed_on()
        self.account.take_off(self._sender.unsent())
        self.account.take_off(self._local.unreported())

    async def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What the cache holds of these subjects, read a part at a time; nothing if nothing held is accepted."""
        if not Freshness.at(self._context.clock(), self._order.request.max_age).accepts_any:
            return [None] * len(keys)
        records: list[bytes | None] = []
        institutions = len(self._order.selection.institutions)
        size = min(_AT_ONCE, chunk_size(institutions))  # a record holds an answer of each
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            await self._context.scheduler.wait_turn(work(len(part), institutions))
            records += self._context.store.get_many(part)
        if institutions > len(keys):  # to plan them is then as much as to read them
            await self._context.scheduler.wait_turn(work(len(keys), institutions))
        return records

    async def _take_up(self, chunk: Chunk, records: Sequence[bytes | None], groups: OwnerGroups) -> list[bytes]:
        """Plans a chunk, has its misses asked, and gives the reports that need nobody to be asked."""
        first_row = len(self._rows)
        planned = self._plan(chunk, records)
        if planned.misses or planned.repeats or planned.elsewhere:
            await self._recording.clear()
        if planned.misses or planned.repeats:
            self._local.ask(planned, chunk, first_row=first_row)
        self._forwarding.forward(groups.add(chunk, planned.elsewhere))
        return self._settled(planned, chunk)

    def _plan(self, chunk: Chunk, records: Sequence[bytes | None]) -> Plan:
        valid: list[bytes | None] = list(chunk.columns.keys)
        for index in chunk.columns.problems:
            valid[index] = None
        choices = self._order.selection.choices
        lines = Lines(
            keys=valid,
            records=records,
            choices=[choices[subject_type] for subject_type in chunk.columns.types],
        )
        now = self._context.clock()  # each time anew: a slow reader may have held the request up
        freshness = Freshness.at(now, self._order.request.max_age)
        planned = plan(lines, self._rows, freshness, ownership=self._ownership)
        self.account.tally.add_rows(planned.outcomes, Source.CACHE)
        self._note_served(planned, chunk)
        return planned

    def _note_served(self, planned: Plan, chunk: Chunk) -> None:
        transcript = self.account.transcript
        if not transcript.wanted:
            return
        positions = chunk.positions
        for columns, places, heads in planned.heads:
            is_all = len(places) == len(positions)  # as in the usual batch
            transcript.served(columns, positions if is_all else [positions[place] for place in places], heads)
        for place, row in planned.served:
            known = [column for column, segment in enumerate(row) if segment]
            transcript.served_partly(known, positions[place], [segment for segment in row if segment])

    def _settled(self, planned: Plan, chunk: Chunk) -> list[bytes]:
        """Reports that need nobody to be asked."""
        positions = chunk.positions
        hits = [positions[index] for index in planned.hits]
        reports = self._writer.reports(hits, encoding.FINAL + encoding.COMPLETE, planned.bodies)
        for index, problem in chunk.columns.problems.items():
            reports.append(_invalid_report(self._writer, positions[index], problem))
        self.account.invalid += len(chunk.columns.problems)
        self.account.reported += len(reports)
        return reports

    async def _finish(self, chunk: Chunk, write: Write) -> None:
        """Executes here what another worker has left undone (see `Forwarding`)."""
        heads = dict(zip(chunk.positions, chunk.columns.heads, strict=True))
        rest = Execution(self._context, self._order, heads, write, ownership=ALONE)
        chunks = list(chunk.parts(chunk_size(len(self._order.selection.institutions))))
        if last := await rest.run(chunks):
            await write(last)


def _may_gather(request: Request) -> bool:
    """Whether its reports may wait for others: nobody looks at a screen for them."""
    return request.priority is Priority.BULK and request.delivery is Delivery.COMPLETE


def _invalid_report(writer: encoding.ReportWriter, position: int, problem: Problem) -> bytes:
    """The report on a lookup that nobody was asked about."""
    answer = encoding.make_segments("", [encoding.content(Outcome.INVALID, problem=problem)], Source.BROKER)[0]
    return writer.report(position, encoding.FINAL + encoding.COMPLETE, answer)
