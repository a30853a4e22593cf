"""What peers ask for a request: lookups about their subjects are forwarded, and their reports passed on unread.

A peer that cannot be reached, falls silent or breaks off is no reason to fail a lookup: this worker finishes what the
peer has begun, and says nothing twice. A reader that is slow holds the peer back, too: its stream is read only while
there is room.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import numpy as np

from broker.core.planning.chunk import Chunk, work
from broker.core.planning.report_stream import Producer
from broker.core.planning.resume import Resumption
from broker.investigation.account import Account
from broker.investigation.context import ExecutionContext, Order, Write
from broker.loops.report_queue import ReportQueue
from broker.peers.client import PeerError
from broker.peers.grouping import Group
from broker.peers.messages import ForwardRequest, Trailer
from broker.v1 import investigation_pb2 as pb

Finish = Callable[[Chunk, Write], Awaitable[None]]
"""Executes lookups in this worker, whoever owns their subjects."""


class Forwarding:
    """State: the tasks that follow forwarded requests, and what was passed on of those that have not ended."""

    def __init__(
        self,
        context: ExecutionContext,
        order: Order,
        account: Account,
        queue: ReportQueue,
        finish: Finish,
    ) -> None:
        """`finish` is used for what a peer leaves undone."""
        self._context = context
        self._order = order
        self._account = account
        self._queue = queue
        self._finish = finish
        self._tasks: set[asyncio.Task[None]] = set()
        self._uncounted: dict[int, list[bytes]] = {}

    def forward(self, groups: Iterable[Group]) -> None:
        """Forwards lookups to their owners, and follows what these report."""
        for owner, chunk in groups:
            producer = self._queue.open_producer()
            task = asyncio.get_running_loop().create_task(self._follow(owner, chunk, producer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Ends whatever is still in flight."""
        for task in self._tasks:
            task.cancel()

    def count_passed_on(self) -> None:
        """Counts what was passed on of forwarded requests that have not ended; for a stream that ended early."""
        for messages in self._uncounted.values():
            for message in messages:
                self._count(pb.InvestigateResponse.FromString(message).reports)
        self._uncounted.clear()

    async def _follow(self, owner: int, chunk: Chunk, producer: Producer) -> None:
        try:
            await self._context.scheduler.wait_turn(work(len(chunk.positions), len(self._order.selection.institutions)))
            await self._pass_on(owner, chunk, producer)
        except Exception as error:  # noqa: BLE001 - raised where the stream is written
            producer.close(error)
        else:
            producer.close()

    async def _pass_on(self, owner: int, chunk: Chunk, producer: Producer) -> None:
        passed_on: list[bytes] = []
        self._uncounted[id(passed_on)] = passed_on
        try:
            async for part in self._context.peers.ask(owner, self._forward_request(chunk)):
                if isinstance(part, Trailer):
                    del self._uncounted[id(passed_on)]
                    self._end(part, chunk, producer)
                else:
                    passed_on.append(part)
                    producer.put([part])
                    await self._queue.wait_room()
        except PeerError:
            del self._uncounted[id(passed_on)]
            await self._do_rest(chunk, passed_on, producer)

    def _end(self, trailer: Trailer, chunk: Chunk, producer: Producer) -> None:
        counts = self._account.tally.counts
        counts += np.frombuffer(trailer.counts, np.int64).reshape(counts.shape)
        self._account.complete &= trailer.complete
        self._account.reported += len(chunk.positions)
        self._account.transcript.passed_on(trailer.transcript)
        if trailer.last:
            producer.put([trailer.last])

    async def _do_rest(self, chunk: Chunk, passed_on: Sequence[bytes], producer: Producer) -> None:
        """Does what a peer has left undone, as the peer would have."""
        resumption = Resumption()
        for message in passed_on:
            self._count(_fresh(resumption, message))

        async def write(message: bytes) -> None:
            reports = _fresh(resumption, message)
            self._count(reports)
            producer.put([pb.InvestigateResponse(reports=reports).SerializeToString()])
            await self._queue.wait_room()

        left = [index for index, position in enumerate(chunk.positions) if position not in resumption.finished]
        if left:
            await self._finish(chunk.pick(left), write)
        self._account.complete &= resumption.complete

    def _count(self, reports: Sequence[pb.Report]) -> None:
        self._account.add(reports)
        self._account.reported += sum(report.final for report in reports)

    def _forward_request(self, chunk: Chunk) -> ForwardRequest:
        columns = chunk.columns
        return ForwardRequest(
            request=self._order.request,
            selected=tuple(spec.id for spec in self._order.selection.institutions),
            time_left=self._order.time_left,
            positions=list(chunk.positions),
            heads=list(columns.heads),
            keys=list(columns.keys),
            subjects=list(columns.subjects),
        )


def _fresh(resumption: Resumption, message: bytes) -> list[pb.Report]:
    """The reports in an encoded response, without answers passed on before."""
    return [report for report in pb.InvestigateResponse.FromString(message).reports if resumption.take(report)]
