"""One request under way: its lookups planned batch by batch, the misses followed until every lookup has its report.

Whoever can still add to the stream is a *feeder*: the planning itself, and each handover to a colleague. When the last
feeder is done the petition is sealed, and when the petition is whole too, the stream has ended.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from broker import contract
from broker.bridge import Bridge, Errand, Outlet
from broker.colleagues import ColleagueError, Colleagues, Retelling
from broker.contract import Request
from broker.core import record, wire
from broker.core.assembly import Assembly
from broker.core.ownership import ALONE, Ownership
from broker.core.parcel import Parcel
from broker.core.plan import Lines, Plan, plan
from broker.core.selection import Selection
from broker.core.tally import Tally
from broker.errors import BrokerError
from broker.fanout import FanOut, Petition
from broker.handover import Footer, Handover
from broker.lookups import Columns
from broker.model import Delivery, Priority, Source
from broker.store.base import Store
from broker.turnstile import Turnstile
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


class Batch(NamedTuple):
    """Some of a request's lookups."""

    columns: Columns
    positions: Sequence[int]
    """Places in the caller's request."""

    def pick(self, places: Sequence[int]) -> "Batch":
        """Some of them, none of which has a problem."""
        return Batch(self.columns.pick(places), [self.positions[place] for place in places])


@dataclass(frozen=True, slots=True)
class Parts:
    """What of the worker an inquest works with."""

    store: Store
    fanout: FanOut
    bridge: Bridge
    colleagues: Colleagues
    turnstile: Turnstile
    clock: Callable[[], float] = time.time


class Inquest:
    """One request under way.

    State: what has been counted, and once something was missed, the petition on the trio side, the handovers to other
    workers, and the outlet where the reports of both come in.
    """

    def __init__(
        self,
        parts: Parts,
        request: Request,
        selection: Selection,
        heads: Sequence[bytes] | Mapping[int, bytes],
        write: Write,
        *,
        ownership: Ownership,
    ) -> None:
        """`heads` by position (`Columns.heads`). `ownership`: what need not be handed over."""
        self.tally = Tally(len(selection.institutions))
        self.invalid = 0
        self._sent = 0
        self._parts = parts
        self._request = request
        self._selection = selection
        self._headers = wire.Headers(heads)
        self._lookups = len(heads)
        self._write = write
        self._ownership = ownership
        self._rows: dict[bytes, int] = {}
        self._assembly = Assembly(self.tally)
        self._others_complete = True
        self._outlet: Outlet[bytes] = Outlet(weigh=_size)
        self._feeders = 1
        self._petition: Petition | None = None
        self._errand: Errand | None = None
        self._handovers: set[asyncio.Task[None]] = set()
        self._deadline = 0.0
        gathers = request.priority is Priority.BULK and request.delivery is Delivery.COMPLETE
        self._patience = _PATIENCE if gathers else 0.0

    @property
    def complete(self) -> bool:
        """Whether every answer given is conclusive."""
        return self._assembly.all_complete and self._others_complete

    async def run(self, batches: Iterable[Batch], time_left: float) -> bytes:
        """Streams reports within `time_left` seconds. Returns what ends the stream is to be sent with.

        That are the last reports, joined, if they are too few to be worth a message of their own.
        """
        self._deadline = time.monotonic() + time_left
        reports: list[bytes] = []
        try:
            for batch in batches:
                await self._send(reports)
                reports = self._take_up(batch, await self._read(batch.columns.keys))
            self._feeder_ended()
            while not self._outlet.ended:
                await self._send(reports)
                reports = await self._outlet.take(_WORTH_SENDING, self._patience)
            if self._petition is not None:
                self._sent += self._petition.reported
            if self._sent != self._lookups:
                raise LostReportsError
            return await self._send_last(reports)
        finally:
            if self._errand is not None:
                self._errand.cancel()
            for task in self._handovers:
                task.cancel()

    def _feeder_ended(self) -> None:
        self._feeders -= 1
        if not self._feeders:
            if self._petition is not None:
                self._parts.bridge.call_soon(self._petition.seal)
            self._outlet.end()

    async def _read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What the cache holds of these subjects, read a part at a time."""
        records: list[bytes | None] = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            await self._parts.turnstile.turn(len(part))
            records += self._parts.store.get_many(part)
        return records

    def _take_up(self, batch: Batch, records: Sequence[bytes | None]) -> list[bytes]:
        """Plans a batch, sets on foot what it misses, and gives the reports that need nobody to be asked."""
        planned = self._plan(batch, records)
        if planned.misses or planned.repeats:
            self._petition_for(planned, batch)
        for owner, places in planned.elsewhere.items():
            self._hand_over(owner, batch.pick(places))
        return self._settled(planned, batch)

    def _plan(self, batch: Batch, records: Sequence[bytes | None]) -> Plan:
        valid: list[bytes | None] = list(batch.columns.keys)
        for place in batch.columns.problems:
            valid[place] = None
        choices = self._selection.choices
        lines = Lines(
            keys=valid,
            records=records,
            choices=[choices[subject_type] for subject_type in batch.columns.types],
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

    def _settled(self, planned: Plan, batch: Batch) -> list[bytes]:
        """Reports that need nobody to be asked."""
        positions = batch.positions
        hits = [positions[place] for place in planned.hits]
        reports = self._headers.reports(hits, wire.FINAL + wire.COMPLETE, planned.bodies)
        for place, problem in batch.columns.problems.items():
            reports.append(contract.invalid_report(self._headers, positions[place], problem))
        self.invalid += len(batch.columns.problems)
        self._sent += len(reports)
        return reports

    async def _send(self, reports: Sequence[bytes]) -> None:
        for message in wire.messages(reports, _MESSAGE):
            await self._write(message)

    async def _send_last(self, reports: Sequence[bytes]) -> bytes:
        """Sends reports that are worth it, and returns those that are not, joined."""
        if _size(reports) < _WORTH_SENDING:
            return b"".join(reports)
        await self._send(reports)
        return b""

    # What this worker asks itself.

    def _petition_for(self, planned: Plan, batch: Batch) -> None:
        """Hands what was missed over to the trio side."""
        petition = self._petition or self._open_petition()
        parcels: dict[str, Parcel] = {}
        if time.monotonic() < self._deadline:
            parcels = self._parcels(planned, batch, petition)
        missed = [batch.positions[place] for place in planned.misses]
        keys = [batch.columns.keys[place] for place in planned.misses]
        repeated = [(row, batch.positions[place]) for row, place in planned.repeats]

        def submit() -> None:
            petition.add(planned.rows, missed)
            for row, position in repeated:
                petition.repeat(row, position)
            self._parts.fanout.submit(self._not_landed(parcels, keys))

        self._parts.bridge.call_soon(submit)

    def _not_landed(self, parcels: Mapping[str, Parcel], keys: Sequence[bytes]) -> dict[str, Parcel]:
        """The parcels without what came in since their batch was planned; that is delivered.

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

    def _open_petition(self) -> Petition:
        petition = self._petition = Petition(
            self._assembly,
            self._selection.institutions,
            self._headers,
            incremental=self._request.delivery is Delivery.INCREMENTAL,
            put=self._outlet.put,
            whole=self._outlet.end,
        )
        self._outlet.expect()

        def ended(error: BaseException | None) -> None:
            if not petition.whole:
                self._outlet.end(error or LostReportsError())

        self._errand = self._parts.bridge.start(
            lambda: self._parts.fanout.attend(petition, self._deadline - time.monotonic()), ended
        )
        return petition

    def _parcels(self, planned: Plan, batch: Batch, petition: Petition) -> dict[str, Parcel]:
        places, columns = planned.misses, batch.columns
        subjects = columns.subjects[:]
        first_row = len(self._rows) - len(places)
        missed = Parcel(
            waiter=petition,
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

    def _hand_over(self, owner: int, batch: Batch) -> None:
        self._feeders += 1
        task = asyncio.get_running_loop().create_task(self._follow(owner, batch))
        self._handovers.add(task)
        task.add_done_callback(self._handovers.discard)

    async def _follow(self, owner: int, batch: Batch) -> None:
        """Passes on what the owner reports. If it fails, does itself what the owner has not done."""
        passed_on: list[bytes] = []
        try:
            await self._parts.turnstile.turn(len(batch.positions))
            try:
                async for part in self._parts.colleagues.ask(owner, self._handover(batch)):
                    if isinstance(part, Footer):
                        self._add(part, len(batch.positions))
                    else:
                        passed_on.append(part)
                        self._outlet.put([part])
            except ColleagueError:
                await self._do_rest(batch, passed_on)
        except Exception as error:  # noqa: BLE001 - raised where the stream is written
            self._outlet.fail(error)
        self._feeder_ended()

    async def _do_rest(self, batch: Batch, passed_on: Sequence[bytes]) -> None:
        """Does what a colleague has left undone, as the colleague would have, and says nothing twice."""
        retelling = Retelling()
        for message in passed_on:
            self._count(retelling.take(message))

        async def write(message: bytes) -> None:
            reports = retelling.take(message)
            self._count(reports)
            self._outlet.put([pb.InvestigateResponse(reports=reports).SerializeToString()])

        left = [place for place, position in enumerate(batch.positions) if position not in retelling.finished]
        if left:
            rest = batch.pick(left)
            heads = dict(zip(rest.positions, rest.columns.heads, strict=True))
            inquest = Inquest(self._parts, self._request, self._selection, heads, write, ownership=ALONE)
            if last := await inquest.run([rest], self._deadline - time.monotonic()):
                await write(last)
        self._sent += len(retelling.finished)
        self._others_complete &= retelling.complete

    def _handover(self, batch: Batch) -> Handover:
        columns = batch.columns
        return Handover(
            request=replace(self._request, lookups=[]),
            selected=tuple(spec.id for spec in self._selection.institutions),
            time_left=self._deadline - time.monotonic(),
            positions=list(batch.positions),
            heads=list(columns.heads),
            keys=list(columns.keys),
            subjects=list(columns.subjects),
        )

    def _add(self, footer: Footer, lookups: int) -> None:
        if footer.last:
            self._outlet.put([footer.last])
        self.tally.counts += np.frombuffer(footer.counts, np.int64).reshape(self.tally.counts.shape)
        self._others_complete &= footer.complete
        self._sent += lookups

    def _count(self, reports: Iterable[pb.Report]) -> None:
        columns = {spec.id: column for column, spec in enumerate(self._selection.institutions)}
        for report in reports:
            for answer in report.answers:
                self.tally.counts[columns[answer.institution_id], answer.source, answer.outcome] += 1


def _size(messages: Sequence[bytes]) -> int:
    return sum(map(len, messages))
