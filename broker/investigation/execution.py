"""One request under way: its lookups planned chunk by chunk, the misses followed until every lookup has its report.

Whoever can still add to the stream is a *feeder*: the planning itself, and each request forwarded to a peer. When the
last feeder is done the aggregator is sealed, and when the aggregator is whole too, the stream has ended.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from broker.core.planning.chunk import Chunk
from broker.core.planning.merge import AnswerTable
from broker.core.planning.ownership import ALONE, Ownership
from broker.core.planning.parcel import Parcel
from broker.core.planning.plan import Lines, Plan, plan
from broker.core.planning.selection import Selection
from broker.core.planning.tally import Tally
from broker.core.wire import encoding, record
from broker.errors import BrokerError
from broker.lanes.fan_out import Aggregator, FanOut
from broker.loops.bridge import Bridge, BridgeQueue, TaskHandle
from broker.loops.fair_scheduler import FairScheduler
from broker.model import Delivery, Outcome, Priority, Problem, Request, Source
from broker.peers.client import PeerError, Peers, Retelling
from broker.peers.messages import ForwardRequest, Trailer
from broker.store.base import Store
from broker.v1 import investigation_pb2 as pb

Write = Callable[[bytes], Awaitable[None]]
"""Sends one encoded `InvestigateResponse`; waits while the reader is slow."""

# Bytes per message: a quarter of gRPC's default limit for receivers, large enough to cost nothing per message.
_MESSAGE = 1024 * 1024
# Reports on bulk work wait for others to go with: a message costs far more to send, and to receive, than a report does,
# and answers come in dribs and drabs (to lookups that others ask about at that moment, to things).
# What goes with the end of a stream has to be small, too: large ones were not given back before the next collection of
# garbage, and a worker of the national workload held 430 MiB instead of 258.
_WORTH_SENDING = 32 * 1024  # bytes: a hundred reports
_PATIENCE = 0.1  # s; a fifth of what a request of a thousand lookups takes when the machine is busy
# Records read at a time: some two milliseconds, after which others get their turns of the loop. Half as many cost hits
# a tenth of their rate when it was tried.
_AT_ONCE = 500


class LostReportsError(BrokerError):
    """Not every lookup has been reported on: a fault of the broker, which must not look like an answer."""


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What of the worker an execution works with."""

    store: Store
    fanout: FanOut
    bridge: Bridge
    peers: Peers
    scheduler: FairScheduler
    clock: Callable[[], float] = time.time


class Execution:
    """One request under way.

    State: what has been counted, and once something was missed, the aggregator on the trio side, requests forwarded to
    other workers, and the queue where the reports of both come in.
    """

    def __init__(
        self,
        parts: ExecutionContext,
        request: Request,
        selection: Selection,
        heads: Sequence[bytes] | Mapping[int, bytes],
        write: Write,
        *,
        ownership: Ownership,
    ) -> None:
        """`heads` by position (`LookupColumns.heads`). `ownership`: what need not be handed over."""
        self.tally = Tally(len(selection.institutions))
        self.invalid = 0
        self._sent = 0
        self._parts = parts
        self._request = request
        self._selection = selection
        self._writer = encoding.ReportWriter(heads)
        self._lookups = len(heads)
        self._write = write
        self._ownership = ownership
        self._rows: dict[bytes, int] = {}
        self._assembly = AnswerTable(self.tally)
        self._others_complete = True
        self._queue: BridgeQueue[bytes] = BridgeQueue(weigh=_size)
        self._feeders = 1
        self._petition: Aggregator | None = None
        self._handle: TaskHandle | None = None
        self._handovers: set[asyncio.Task[None]] = set()
        self._deadline = 0.0
        gathers = request.priority is Priority.BULK and request.delivery is Delivery.COMPLETE
        self._patience = _PATIENCE if gathers else 0.0

    @property
    def complete(self) -> bool:
        """Whether every answer given is conclusive."""
        return self._assembly.all_complete and self._others_complete

    async def run(self, chunks: Iterable[Chunk], time_left: float) -> bytes:
        """Streams reports within `time_left` seconds. Returns what ends the stream is to be sent with.

        That are the last reports, joined, if they are too few to be worth a message of their own.
        """
        self._deadline = time.monotonic() + time_left
        reports: list[bytes] = []
        try:
            for chunk in chunks:
                await self._send(reports)
                reports = self._take_up(chunk, await self._read(chunk.columns.keys))
            self._feeder_ended()
            while not self._queue.ended:
                await self._send(reports)
                reports = await self._queue.take(_WORTH_SENDING, self._patience)
            if self._petition is not None:
                self._sent += self._petition.reported
            if self._sent != self._lookups:
                raise LostReportsError
            return await self._send_last(reports)
        finally:
            if self._handle is not None:
                self._handle.cancel()
            for task in self._handovers:
                task.cancel()

    def _feeder_ended(self) -> None:
        self._feeders -= 1
        if not self._feeders:
            if self._petition is not None:
                self._parts.bridge.call_soon(self._petition.seal)
            self._queue.end()

    async def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What the cache holds of these subjects, read a part at a time."""
        records: list[bytes | None] = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            await self._parts.scheduler.turn(len(part))
            records += self._parts.store.get_many(part)
        return records

    def _take_up(self, chunk: Chunk, records: Sequence[bytes | None]) -> list[bytes]:
        """Plans a chunk, sets on foot what it misses, and gives the reports that need nobody to be asked."""
        planned = self._plan(chunk, records)
        if planned.misses or planned.repeats:
            self._petition_for(planned, chunk)
        for owner, places in planned.elsewhere.items():
            self._hand_over(owner, chunk.pick(places))
        return self._settled(planned, chunk)

    def _plan(self, chunk: Chunk, records: Sequence[bytes | None]) -> Plan:
        valid: list[bytes | None] = list(chunk.columns.keys)
        for place in chunk.columns.problems:
            valid[place] = None
        choices = self._selection.choices
        lines = Lines(
            keys=valid,
            records=records,
            choices=[choices[subject_type] for subject_type in chunk.columns.types],
        )
        now, oldest = self._moments()
        planned = plan(lines, self._rows, now=now, oldest=oldest, ownership=self._ownership)
        self.tally.add_rows(planned.outcomes, Source.CACHE)
        return planned

    def _moments(self) -> tuple[int, int]:
        """Now, and the earliest observation accepted. Each time anew: a slow reader may have held the request up."""
        now, max_age = self._parts.clock(), self._request.max_age
        # The first whole second that is younger than max_age: with none allowed, one that has not begun yet.
        return int(now), 0 if max_age is None else math.floor(now - max_age) + 1

    def _settled(self, planned: Plan, chunk: Chunk) -> list[bytes]:
        """Reports that need nobody to be asked."""
        positions = chunk.positions
        hits = [positions[place] for place in planned.hits]
        reports = self._writer.reports(hits, encoding.FINAL + encoding.COMPLETE, planned.bodies)
        for place, problem in chunk.columns.problems.items():
            reports.append(_invalid_report(self._writer, positions[place], problem))
        self.invalid += len(chunk.columns.problems)
        self._sent += len(reports)
        return reports

    async def _send(self, reports: Sequence[bytes]) -> None:
        for message in encoding.messages(reports, _MESSAGE):
            await self._write(message)

    async def _send_last(self, reports: Sequence[bytes]) -> bytes:
        """Sends reports that are worth it, and returns those that are not, joined."""
        if _size(reports) < _WORTH_SENDING:
            return b"".join(reports)
        await self._send(reports)
        return b""

    # What this worker asks itself.

    def _petition_for(self, planned: Plan, chunk: Chunk) -> None:
        """Hands what was missed over to the trio side."""
        aggregator = self._petition or self._open_petition()
        parcels: dict[str, Parcel] = {}
        if time.monotonic() < self._deadline:
            parcels = self._parcels(planned, chunk, aggregator)
        missed = [chunk.positions[place] for place in planned.misses]
        keys = [chunk.columns.keys[place] for place in planned.misses]
        repeated = [(row, chunk.positions[place]) for row, place in planned.repeats]

        def submit() -> None:
            aggregator.add(planned.rows, missed)
            for row, position in repeated:
                aggregator.repeat(row, position)
            self._parts.fanout.submit(self._not_landed(parcels, keys))

        self._parts.bridge.call_soon(submit)

    def _not_landed(self, parcels: Mapping[str, Parcel], keys: Sequence[bytes]) -> dict[str, Parcel]:
        """The parcels without what came in since their chunk was planned; that is delivered.

        A flight that ended in between was still open when the store was read for the plan, and is not there any more to
        be joined: what it brought is in the store, and would be asked a second time.
        """
        held = {key: one for key, one in zip(keys, self._parts.store.get_many(keys), strict=True) if one is not None}
        if not held:  # nearly always
            return dict(parcels)
        now, oldest = self._moments()
        rest = {}
        for name, parcel in parcels.items():
            institution = record.institution_key(name)
            landed = {
                index: entry
                for index, key in enumerate(parcel.keys)
                if key in held
                for entry in record.unpack(held[key])
                if entry.institution == institution and entry.expires > now and entry.observed >= oldest
            }
            if landed:
                parcel.waiter.deliver(
                    parcel.column,
                    [parcel.rows[index] for index in landed],
                    segments=[entry.segment for entry in landed.values()],
                    outcomes=bytes([entry.outcome for entry in landed.values()]),
                    source=Source.CACHE,
                )
            rest[name] = (
                parcel.pick([index for index in range(len(parcel)) if index not in landed]) if landed else parcel
            )
        return {name: parcel for name, parcel in rest.items() if len(parcel)}

    def _open_petition(self) -> Aggregator:
        aggregator = self._petition = Aggregator(
            self._assembly,
            self._selection.institutions,
            self._writer,
            incremental=self._request.delivery is Delivery.INCREMENTAL,
            put=self._queue.put,
            whole=self._queue.end,
        )
        self._queue.expect()

        def ended(error: BaseException | None) -> None:
            if not aggregator.whole:
                self._queue.end(error or LostReportsError())

        self._handle = self._parts.bridge.start(
            lambda: self._parts.fanout.attend(aggregator, self._deadline - time.monotonic()), ended
        )
        return aggregator

    def _parcels(self, planned: Plan, chunk: Chunk, aggregator: Aggregator) -> dict[str, Parcel]:
        places, columns = planned.misses, chunk.columns
        subjects = columns.subjects[:]
        first_row = len(self._rows) - len(places)
        missed = Parcel(
            waiter=aggregator,
            column=-1,
            mandate=self._request.mandate,
            priority=self._request.priority,
            keys=[columns.keys[place] for place in places],
            subjects=[subjects[place] for place in places],
            rows=range(first_row, first_row + len(places)),
        )
        return {
            self._selection.institutions[column].id: missed.addressed(column, indices)
            for column, indices in planned.asked.items()
        }

    # What other workers ask.

    def _hand_over(self, owner: int, chunk: Chunk) -> None:
        self._feeders += 1
        task = asyncio.get_running_loop().create_task(self._follow(owner, chunk))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _follow(self, owner: int, chunk: Chunk) -> None:
        """Passes on what the owner reports. If it fails, does itself what the owner has not done."""
        passed_on: list[bytes] = []
        try:
            await self._parts.scheduler.turn(len(chunk.positions))
            try:
                async for part in self._parts.peers.ask(owner, self._handover(chunk)):
                    if isinstance(part, Trailer):
                        self._add(part, len(chunk.positions))
                    else:
                        passed_on.append(part)
                        self._queue.put([part])
            except PeerError:
                await self._do_rest(chunk, passed_on)
        except Exception as error:  # noqa: BLE001 - raised where the stream is written
            self._queue.fail(error)
        self._feeder_ended()

    async def _do_rest(self, chunk: Chunk, passed_on: Sequence[bytes]) -> None:
        """Does what a peer has left undone, as the peer would have, and says nothing twice."""
        retelling = Retelling()
        for message in passed_on:
            self._count(retelling.take(message))

        async def write(message: bytes) -> None:
            reports = retelling.take(message)
            self._count(reports)
            self._queue.put([pb.InvestigateResponse(reports=reports).SerializeToString()])

        left = [place for place, position in enumerate(chunk.positions) if position not in retelling.finished]
        if left:
            rest = chunk.pick(left)
            heads = dict(zip(rest.positions, rest.columns.heads, strict=True))
            execution = Execution(self._parts, self._request, self._selection, heads, write, ownership=ALONE)
            if last := await execution.run([rest], self._deadline - time.monotonic()):
                await write(last)
        self._sent += len(retelling.finished)
        self._others_complete &= retelling.complete

    def _handover(self, chunk: Chunk) -> ForwardRequest:
        columns = chunk.columns
        return ForwardRequest(
            request=self._request,
            selected=tuple(spec.id for spec in self._selection.institutions),
            time_left=self._deadline - time.monotonic(),
            positions=list(chunk.positions),
            heads=list(columns.heads),
            keys=list(columns.keys),
            subjects=list(columns.subjects),
        )

    def _add(self, trailer: Trailer, lookups: int) -> None:
        if trailer.last:
            self._queue.put([trailer.last])
        self.tally.counts += np.frombuffer(trailer.counts, np.int64).reshape(self.tally.counts.shape)
        self._others_complete &= trailer.complete
        self._sent += lookups

    def _count(self, reports: Iterable[pb.Report]) -> None:
        columns = {spec.id: column for column, spec in enumerate(self._selection.institutions)}
        for report in reports:
            for answer in report.answers:
                self.tally.counts[columns[answer.institution_id], answer.source, answer.outcome] += 1


def _invalid_report(writer: encoding.ReportWriter, position: int, problem: Problem) -> bytes:
    """The report on a lookup that nobody was asked about."""
    answer = encoding.make_segments("", [encoding.content(Outcome.INVALID, problem=problem)], Source.BROKER)[0]
    return writer.report(position, encoding.FINAL + encoding.COMPLETE, answer)


def _size(messages: Sequence[bytes]) -> int:
    return sum(map(len, messages))
