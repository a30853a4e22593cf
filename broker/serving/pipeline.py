"""The steps of one request: admit, read the lookups, execute, send the summary, count.

It runs on asyncio. Only misses cross to trio (`loops.bridge`), once per chunk.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.audit.sequencer import Recorded
from broker.core.control.admission import Admission, Holding
from broker.core.planning.chunk import Chunk, chunk_size
from broker.core.planning.selection import Selection, Selector
from broker.core.subjects.key import Keyer
from broker.investigation.context import ExecutionContext, Order, Recording, Write
from broker.investigation.execution import Execution
from broker.metrics.requests import RequestMetrics
from broker.model import Request
from broker.serving import contract, lookups
from broker.serving.gate import Passage
from broker.serving.request_record import RequestRecord
from broker.v1 import investigation_pb2 as pb


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves requests with the components of this worker."""

    selector: Selector
    keyer: Keyer
    admission: Admission
    meter: RequestMetrics
    context: ExecutionContext

    async def investigate(
        self,
        holding: Holding,
        passage: Passage,
        request: Request,
        encoded: Sequence[bytes],
        time_left: float,
        write: Write,
    ) -> None:
        """Answers a request within `time_left` seconds, by calling `write` with one message after the other.

        `encoded`: its lookups. `holding`: what it has been admitted with; the inquiries are added to it. `passage`: its
        way through the gate.

        Raises a `CallerError` before anything is written if the request cannot be served.
        """
        began = time.perf_counter()
        deadline = time.monotonic() + time_left
        selection = self._select(request)
        passage.authorize(request, selection, len(encoded))
        holding.take_inquiries(len(encoded) * len(selection.institutions), request.priority)
        chunks = await self._read(encoded, selection, passage.committer)
        holding.keep_inquiries(sum(_inquiries(chunk, selection) for chunk in chunks))
        passage.admit(request, selection, chunks)
        record = passage.record
        execution = self._execution(Order(request, selection, deadline), chunks, record, write)
        account = execution.account
        try:
            last = await execution.run(chunks)
            recorded = await record.end(last, account.tally, account.reported)
            summary = contract.write_summary(
                request,
                selection,
                account.tally,
                lookups=len(encoded),
                invalid=account.invalid,
                complete=execution.complete,
                elapsed=time.perf_counter() - began,
                receipt=_receipt(recorded),
            )
            execution.was_sent()
            await write(last + summary)  # encoded messages are merged by putting one after the other
        finally:
            execution.settle_account()
            record.count(account.tally, account.reported)
            self.meter.count(selection, account.tally, lookups=account.reported, invalid=account.invalid)

    def _execution(self, order: Order, chunks: Sequence[Chunk], record: RequestRecord, write: Write) -> Execution:
        """The execution of what was admitted, which begins with its record."""
        return Execution(
            self.context,
            order,
            [head for chunk in chunks for head in chunk.columns.heads],
            record.writing(write),
            ownership=self.context.peers.ownership,
            recording=Recording(record.transcript, record.clear, record.answered),
        )

    def _select(self, request: Request) -> Selection:
        return self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)

    async def _read(self, encoded: Sequence[bytes], selection: Selection, committer: Keyer | None) -> list[Chunk]:
        """The lookups of the request, chunk by chunk. Other requests can run between two chunks."""
        today = datetime.fromtimestamp(self.context.clock(), UTC).date()
        chunks = []
        size = chunk_size(len(selection.institutions))
        for start in range(0, len(encoded), size):
            part = encoded[start : start + size]
            await self.context.scheduler.wait_turn(len(part))
            columns = lookups.read_lookups(part, self.keyer, today=today, committer=committer)
            chunks.append(Chunk(columns, range(start, start + len(part))))
        _add_request_faults(chunks, selection)
        return [Chunk(columns.with_warnings(), positions) for columns, positions in chunks]


def _receipt(recorded: Recorded | None) -> pb.Receipt | None:
    if recorded is None:
        return None
    return pb.Receipt(log=recorded.origin, index=recorded.index, entry=recorded.entry, proof=recorded.proof)


def _inquiries(chunk: Chunk, selection: Selection) -> int:
    """The maximum number of inquiries for a chunk. The cache may answer some lookups, and some may be invalid."""
    counts = Counter(chunk.columns.types)
    return sum(count * len(selection.choices[subject_type].columns) for subject_type, count in counts.items())


def _add_request_faults(chunks: Sequence[Chunk], selection: Selection) -> None:
    """Adds the faults of lookups that only the request as a whole reveals."""
    heads = [head for chunk in chunks for head in chunk.columns.heads]
    keys = [key for chunk in chunks for key in chunk.columns.keys]
    ambiguous = lookups.ambiguous(heads, keys)
    for columns, _ in chunks:
        if ambiguous:
            for place, head in enumerate(columns.heads):
                if head in ambiguous:
                    columns.problems.setdefault(place, lookups.SHARED_REF)
        for subject_type in set(columns.types):
            if not selection.choices[subject_type].columns:
                for place, other in enumerate(columns.types):
                    if other == subject_type:
                        columns.problems.setdefault(place, lookups.NOBODY_ASKED)
