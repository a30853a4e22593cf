"""One request under way: its lookups planned batch by batch, the misses followed until every lookup has its report.

Whoever can still add to the stream is a *feeder*: the planning itself, and each handover to a colleague. When the last
feeder is done the petition is sealed, and when the petition is whole too, the stream has ended.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from broker import contract
from broker.bridge import Bridge, Errand, Outlet
from broker.colleagues import ColleagueError, Colleagues
from broker.contract import Request
from broker.core import wire
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
from broker.model import Delivery, Source
from broker.store.base import Store

Write = Callable[[bytes], Awaitable[None]]
"""Sends one encoded `InvestigateResponse`; waits while the reader is slow."""

# Bytes per message: a quarter of gRPC's default limit for receivers, large enough to cost nothing per message.
_MESSAGE = 1024 * 1024


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
        self._outlet: Outlet[bytes] = Outlet()
        self._feeders = 1
        self._petition: Petition | None = None
        self._errand: Errand | None = None
        self._handovers: set[asyncio.Task[None]] = set()
        self._deadline = 0.0

    @property
    def complete(self) -> bool:
        """Whether every answer given is conclusive."""
        return self._assembly.all_complete and self._others_complete

    async def run(self, batches: Iterable[Batch], time_left: float) -> None:
        """Streams every report within `time_left` seconds."""
        self._deadline = time.monotonic() + time_left
        try:
            for batch in batches:
                await self._send(self._take_up(batch, self._ownership))
                await asyncio.sleep(0)
            self._feeder_ended()
            while reports := await self._outlet.take():
                await self._send(reports)
            if self._petition is not None:
                self._sent += self._petition.reported
            if self._sent != self._lookups:
                raise LostReportsError
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

    def _take_up(self, batch: Batch, ownership: Ownership) -> list[bytes]:
        """Plans a batch, sets on foot what it misses, and gives the reports that need nobody to be asked."""
        planned = self._plan(batch, ownership)
        if planned.misses or planned.repeats:
            self._petition_for(planned, batch)
        for owner, places in planned.elsewhere.items():
            self._hand_over(owner, batch.pick(places))
        return self._settled(planned, batch)

    def _plan(self, batch: Batch, ownership: Ownership) -> Plan:
        now = self._parts.clock()  # each time: a slow reader may have held the request up since the last batch
        valid: list[bytes | None] = list(batch.columns.keys)
        for place in batch.columns.problems:
            valid[place] = None
        choices = self._selection.choices
        lines = Lines(
            keys=valid,
            records=self._parts.store.get_many(batch.columns.keys),
            choices=[choices[subject_type] for subject_type in batch.columns.types],
        )
        max_age = self._request.max_age
        # The first whole second that is younger than max_age: with none allowed, one that has not begun yet.
        oldest = 0 if max_age is None else math.floor(now - max_age) + 1
        planned = plan(lines, self._rows, now=int(now), oldest=oldest, ownership=ownership)
        self.tally.add_rows(planned.outcomes, Source.CACHE)
        return planned

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

    async def _send(self, reports: list[bytes]) -> None:
        for message in wire.messages(reports, _MESSAGE):
            await self._write(message)

    # What this worker asks itself.

    def _petition_for(self, planned: Plan, batch: Batch) -> None:
        """Hands what was missed over to the trio side."""
        petition = self._petition or self._open_petition()
        parcels: dict[str, Parcel] = {}
        if time.monotonic() < self._deadline:
            parcels = self._parcels(planned, batch, petition)
        missed = [batch.positions[place] for place in planned.misses]
        repeated = [(row, batch.positions[place]) for row, place in planned.repeats]

        def submit() -> None:
            petition.add(planned.rows, missed)
            for row, position in repeated:
                petition.repeat(row, position)
            self._parts.fanout.submit(parcels)

        self._parts.bridge.call_soon(submit)

    def _open_petition(self) -> Petition:
        petition = self._petition = Petition(
            self._assembly,
            self._selection.institutions,
            self._headers,
            incremental=self._request.delivery is Delivery.INCREMENTAL,
            put=self._outlet.put,
        )
        self._outlet.expect()
        self._errand = self._parts.bridge.start(
            lambda: self._parts.fanout.attend(petition, self._deadline - time.monotonic()), self._outlet.end
        )
        return petition

    def _parcels(self, planned: Plan, batch: Batch, petition: Petition) -> dict[str, Parcel]:
        places, columns = planned.misses, batch.columns
        first_row = len(self._rows) - len(places)
        missed = Parcel(
            waiter=petition,
            column=-1,
            mandate=self._request.mandate,
            priority=self._request.priority,
            keys=[columns.keys[place] for place in places],
            subjects=[columns.subjects[place] for place in places],
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
            async for part in self._parts.colleagues.ask(owner, self._handover(batch)):
                if isinstance(part, Footer):
                    self._add(part, len(batch.positions))
                else:
                    passed_on.append(part)
                    self._outlet.put([part])
        except ColleagueError:
            rest = self._count_reports(batch, passed_on)
            if rest.positions:
                self._outlet.put(self._take_up(rest, ALONE))
        except Exception as error:  # noqa: BLE001 - raised where the stream is written
            self._outlet.fail(error)
        self._feeder_ended()

    def _handover(self, batch: Batch) -> Handover:
        request, columns = self._request, batch.columns
        return Handover(
            mandate=request.mandate,
            request_id=request.request_id,
            institution_ids=request.institution_ids,
            kinds=request.kinds,
            max_age=request.max_age,
            priority=request.priority,
            delivery=request.delivery,
            selected=tuple(spec.id for spec in self._selection.institutions),
            time_left=self._deadline - time.monotonic(),
            positions=list(batch.positions),
            heads=list(columns.heads),
            keys=list(columns.keys),
            subjects=list(columns.subjects),
        )

    def _add(self, footer: Footer, lookups: int) -> None:
        self.tally.counts += np.frombuffer(footer.counts, np.int64).reshape(self.tally.counts.shape)
        self._others_complete &= footer.complete
        self._sent += lookups

    def _count_reports(self, batch: Batch, messages: Sequence[bytes]) -> Batch:
        """Counts what was passed on before a colleague failed. Returns the lookups without their final report."""
        columns = {spec.id: column for column, spec in enumerate(self._selection.institutions)}
        done = set()
        for report in contract.final_reports(messages):
            done.add(report.position)
            self._others_complete &= report.complete
            for answer in report.answers:
                self.tally.counts[columns[answer.institution_id], answer.source, answer.outcome] += 1
        self._sent += len(done)
        return batch.pick([place for place, position in enumerate(batch.positions) if position not in done])
