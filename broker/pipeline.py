"""The way of one request: admit → plan ─hits→ stream, ─misses→ fan out → report → stream → summary.

Runs on asyncio, beside the transport; only misses cross to trio (`bridge`), once per batch. The store is read here, a
batch at a time, and written by the lanes, beside the stream.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from broker import contract
from broker.admission import Admission
from broker.bridge import Bridge, Errand, Outlet
from broker.contract import Columns, Request
from broker.core import wire
from broker.core.assembly import Assembly
from broker.core.key import Keyer
from broker.core.parcel import Parcel
from broker.core.plan import Lines, Plan, plan
from broker.core.selection import Selection, Selector
from broker.core.tally import Tally
from broker.errors import BrokerError
from broker.fanout import FanOut, Petition
from broker.metrics import RequestMeter
from broker.model import Delivery, Source, Subject, SubjectType
from broker.store.base import Store

Write = Callable[[bytes], Awaitable[None]]
"""Sends one encoded `InvestigateResponse`; waits while the reader is slow."""

# Lookups planned at a time: about 3 ms of the loop, between two of which other requests get their turn.
_CHUNK = 1000
# Bytes per message: a quarter of gRPC's default limit for receivers, large enough to cost nothing per message.
_MESSAGE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves requests with this worker's parts."""

    selector: Selector
    store: Store
    keyer: Keyer
    fanout: FanOut
    bridge: Bridge
    admission: Admission
    meter: RequestMeter
    clock: Callable[[], float] = time.time

    async def investigate(self, request: Request, time_left: float, write: Write) -> None:
        """Answers a request within `time_left` seconds, by calling `write` with one message after the other.

        Raises a `CallerError` before anything is written if the request cannot be served.
        """
        began = time.perf_counter()
        selection = self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)
        with self.admission.admit(len(request.lookups), request.priority):
            inquest = Inquest(self, request, selection, write)
            await inquest.run(time_left)
            summary = contract.write_summary(
                request,
                selection,
                inquest.tally,
                invalid=inquest.invalid,
                complete=inquest.complete,
                elapsed=time.perf_counter() - began,
            )
            await write(summary)
            self.meter.count(selection, inquest.tally, lookups=len(request.lookups), invalid=inquest.invalid)


class LostReportsError(BrokerError):
    """Not every lookup has been reported on: a fault of the broker, which must not look like an answer."""


class Inquest:
    """One request under way.

    State: what has been counted, and once something was missed, the petition on the trio side with its outlet.
    """

    def __init__(self, pipeline: Pipeline, request: Request, selection: Selection, write: Write) -> None:
        self.tally = Tally(len(selection.institutions))
        self.invalid = 0
        self._sent = 0
        self._parts = pipeline
        self._request = request
        self._selection = selection
        self._write = write
        self._refs = contract.read_refs(request.lookups)
        self._headers = wire.Headers(self._refs)
        self._rows: dict[bytes, int] = {}
        self._assembly = Assembly(self.tally)
        self._outlet: Outlet[bytes] = Outlet()
        self._petition: Petition | None = None
        self._errand: Errand | None = None

    @property
    def complete(self) -> bool:
        """Whether every answer given is conclusive."""
        return self._assembly.all_complete

    async def run(self, time_left: float) -> None:
        """Streams every report within `time_left` seconds."""
        deadline = time.monotonic() + time_left
        try:
            await self._plan_all(deadline)
            if self._petition is not None:
                self._parts.bridge.call_soon(self._petition.seal)
                while reports := await self._outlet.take():
                    await self._send(reports)
                self._sent += self._petition.reported
            if self._sent != len(self._refs):
                raise LostReportsError
        finally:
            if self._errand is not None:
                self._errand.cancel()

    async def _plan_all(self, deadline: float) -> None:
        today = datetime.fromtimestamp(self._parts.clock(), UTC).date()
        lookups = self._request.lookups
        ambiguous = contract.ambiguous_refs(self._refs, lookups, today=today)
        for start in range(0, len(lookups), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            columns = contract.read_lookups(lookups[chunk], self._refs[chunk], today=today)
            self._object(columns, ambiguous)
            keys = self._parts.keyer.keys(columns.types, columns.numbers, columns.names)
            planned = self._plan(columns, keys, start)
            if planned.misses or planned.repeats:
                self._petition_for(planned, columns, keys, start, deadline)
            await self._send(self._settled(planned, columns, start))
            await asyncio.sleep(0)

    def _object(self, columns: Columns, ambiguous: frozenset[str]) -> None:
        """Adds what only the request as a whole shows to be wrong with a lookup."""
        if ambiguous:
            for place, ref in enumerate(columns.refs):
                if ref in ambiguous:
                    columns.problems.setdefault(place, contract.SHARED_REF)
        for subject_type in set(columns.types):
            if not self._selection.choices[subject_type].columns:
                for place, other in enumerate(columns.types):
                    if other == subject_type:
                        columns.problems.setdefault(place, contract.NOBODY_ASKED)

    def _plan(self, columns: Columns, keys: Sequence[bytes], start: int) -> Plan:
        now = self._parts.clock()  # each time: a slow reader may have held the request up since the last batch
        valid: list[bytes | None] = list(keys)
        for place in columns.problems:
            valid[place] = None
        choices = self._selection.choices
        lines = Lines(
            start=start,
            keys=valid,
            records=self._parts.store.get_many(keys),
            choices=[choices[subject_type] for subject_type in columns.types],
        )
        max_age = self._request.max_age
        # The first whole second that is younger than max_age: with none allowed, one that has not begun yet.
        oldest = 0 if max_age is None else math.floor(now - max_age) + 1
        planned = plan(lines, self._rows, now=int(now), oldest=oldest)
        self.tally.add_rows(planned.outcomes, Source.CACHE)
        return planned

    def _petition_for(
        self, planned: Plan, columns: Columns, keys: Sequence[bytes], start: int, deadline: float
    ) -> None:
        """Hands what was missed over to the trio side."""
        petition = self._petition or self._open_petition(deadline)
        parcels: dict[str, Parcel] = {}
        if time.monotonic() < deadline:
            parcels = self._parcels(planned, columns, keys, start, petition)

        def hand_over() -> None:
            petition.add(planned.rows, planned.misses)
            for row, position in planned.repeats:
                petition.repeat(row, position)
            self._parts.fanout.submit(parcels)

        self._parts.bridge.call_soon(hand_over)

    def _open_petition(self, deadline: float) -> Petition:
        petition = self._petition = Petition(
            self._assembly,
            self._selection.institutions,
            self._headers,
            incremental=self._request.delivery is Delivery.INCREMENTAL,
            put=self._outlet.put,
        )
        self._errand = self._parts.bridge.start(
            lambda: self._parts.fanout.attend(petition, deadline - time.monotonic()), self._outlet.end
        )
        return petition

    def _parcels(
        self, planned: Plan, columns: Columns, keys: Sequence[bytes], start: int, petition: Petition
    ) -> dict[str, Parcel]:
        places = [position - start for position in planned.misses]
        first_row = len(self._rows) - len(places)
        missed = Parcel(
            waiter=petition,
            column=-1,
            mandate=self._request.mandate,
            priority=self._request.priority,
            keys=[keys[place] for place in places],
            subjects=[
                Subject(SubjectType(columns.types[place]), columns.numbers[place], columns.names[place])
                for place in places
            ],
            rows=range(first_row, first_row + len(places)),
        )
        return {
            self._selection.institutions[column].id: missed.addressed(column, indices)
            for column, indices in planned.asked.items()
        }

    def _settled(self, planned: Plan, columns: Columns, start: int) -> list[bytes]:
        """Reports that need nobody to be asked."""
        reports = self._headers.reports(planned.hits, wire.FINAL + wire.COMPLETE, planned.bodies)
        for place, problem in columns.problems.items():
            reports.append(contract.invalid_report(self._headers, start + place, problem))
        self.invalid += len(columns.problems)
        self._sent += len(reports)
        return reports

    async def _send(self, reports: list[bytes]) -> None:
        for message in wire.messages(reports, _MESSAGE):
            await self._write(message)
