"""Everything the worker keeps per institution: its queue, its flights and its controls.

A lane is a bulkhead: whatever its institution does, other lanes go on. It sends when a call may be made: what is queued
by then, up to the institution's batch size. There is no time window, which would put a floor under every latency.

Rules

1. An inquiry that is in flight is joined, one whose answer has landed since it was planned is answered, and only what
   is left is queued. The flights are looked at first (`reserve`) and the store afterwards (`ask`): an answer that
   landed before is in the store, and none can land in between, since whoever asks meanwhile joins. A call that was sent
   too early for the request's maximum age is not joined: the inquiry is made again when that call has ended. Nor does a
   request with a maximum age join what is only reserved, since the store may answer it.
2. A call lives as long as somebody waits for it, and never longer than the institution's timeout.
3. Somebody who waits at a screen and shares an inquiry with bulk work pulls it ahead of the bulk work.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import trio

from broker.core.control.breaker import State
from broker.core.control.pacing import Wanted, next_batch
from broker.core.planning.backlog import Backlog
from broker.core.planning.flight import FlightTable
from broker.core.planning.landed import Landed, split_landed
from broker.core.planning.parcel import CallBatch, Parcel
from broker.core.wire.record import Entry
from broker.errors import origin
from broker.institutions.interface import Institution
from broker.lanes.call import Call, CallContext, Traffic
from broker.lanes.controls import Controls
from broker.lanes.failures import BREAKER_OPEN, INTERNAL, PAUSED
from broker.lanes.settlement import Settlement
from broker.loops.step_budget import StepBudget
from broker.model import Outcome, Priority, Problem
from broker.store.base import Store

log = logging.getLogger(__name__)

_CALL = 250.0  # µs to begin a call: half of it on the trio side, half to encode and send the question

NOTHING_LANDED: Mapping[bytes, Entry] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """A lane at one moment, and its totals since the start."""

    queued: int
    """Inquiries not yet sent."""
    in_flight: int
    """Inquiries queued or being asked."""
    calls: int
    """Batches being asked."""
    limit: int
    """Calls allowed at a time at present."""
    breaker: State
    asked: int
    """Inquiries sent for the first time."""
    repeated: int
    """Inquiries sent again after a failed or refused call."""
    shared: int
    """Answers given to a request other than the one that asked."""
    failures: dict[str, int]
    """Failed calls by reason."""


class Lane:
    """Asks one institution on behalf of all requests of this worker.

    State: the backlog, the flight table, the keys reserved and not asked yet, the calls in flight, and the controls.
    Only `run`'s tasks await.
    """

    def __init__(
        self,
        institution: Institution,
        store: Store,
        budget: StepBudget,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        idle_since: float | None = None,
    ) -> None:
        """`budget`: shared by all lanes. `clock` gives seconds since the epoch, `random` numbers in [0, 1).

        `idle_since`: see `Controls`. Create it inside trio.
        """
        self.spec = institution.spec
        self._budget = budget
        self._backlog = Backlog()
        self._flights = FlightTable()
        self._reserved: set[bytes] = set()
        self._calls: set[Call] = set()
        self._controls = Controls(self.spec, random, idle_since=idle_since)
        self._settlement = Settlement(self.spec, store, self._flights, clock=clock)
        self._traffic = Traffic()
        self._context = CallContext(
            institution=institution,
            budget=budget,
            controls=self._controls,
            settlement=self._settlement,
            traffic=self._traffic,
            urgent=self._flights.urgent,
            closed=self._flush_if_closed,
        )

    def statistics(self) -> LaneStatistics:
        """The lane at this moment."""
        return LaneStatistics(
            queued=len(self._backlog),
            in_flight=len(self._flights),
            calls=len(self._calls),
            limit=self._controls.limit,
            breaker=self._controls.breaker,
            asked=self._traffic.asked,
            repeated=self._traffic.repeated,
            shared=self._settlement.shared,
            failures=dict(self._controls.failures),
        )

    def reserve(self, parcel: Parcel, *, joins_calls_after: float = -math.inf) -> Parcel | None:
        """Takes note of what a request asks: what is in flight is joined, and what is not can be joined from now on.

        Returns the latter, which has to be passed to `ask` or `give_back`. Answers go to the parcel's waiter.
        `joins_calls_after`: when, in trio's time, the calls in flight were sent whose answers the request accepts.
        """
        if not parcel.waiter.open:
            return None
        fresh = self._flights.join(parcel, self._too_early(joins_calls_after))
        if fresh is not None:
            self._reserved.update(fresh.keys)
        if parcel.priority is Priority.INTERACTIVE and (fresh is None or len(fresh) < len(parcel)):
            self._promote(parcel.keys)
        return fresh

    def ask(self, parcel: Parcel, landed: Landed = NOTHING_LANDED) -> None:
        """Has asked what was reserved. Returns at once.

        `landed`: this institution's answers that were in the store after the parcel was reserved.
        """
        if not parcel.waiter.open:
            self.give_back(parcel)
            return
        self._reserved.difference_update(parcel.keys)
        if landed:
            there, missing = split_landed(parcel, landed)
            if there:
                self._settlement.answer_landed(parcel, there, landed)
                self._release(self._flights.take_succeeded())
                if not missing:
                    return
                parcel = parcel.pick(missing)
        if (problem := self._closed()) is not None:
            self._settle_problem(CallBatch([parcel]), problem)
            self._flush_if_closed()
            return
        self._enqueue(parcel)
        if parcel.priority is Priority.BULK and (urgent := self._flights.urgent(parcel.keys)):
            self._promote(urgent)

    def give_back(self, parcel: Parcel) -> None:
        """Undoes a reservation: what others have joined meanwhile is asked for their sake."""
        self._reserved.difference_update(parcel.keys)
        self._release(parcel.keys)

    def forsake(self) -> None:
        """To be called when a request has ended: gives up what nobody waits for any more."""
        for call in self._calls:
            if not any(self._flights.wanted(parcel) for parcel in call.waiting()):
                call.scope.cancel()
        # Followers of what was queued for a request that left become leaders, under their own mandates.
        for parcel in self._backlog.remove(lambda parcel: not parcel.waiter.open):
            self._release(parcel.keys)

    async def run(self) -> None:
        """Serves the backlog until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                permit = await self._controls.acquire(self._wanted)
                try:
                    await self._budget.spend(_CALL, self._wanted(permit.size).priority, owner=self)
                    batch = await self._next_batch(permit.size)
                except Exception as error:  # noqa: BLE001 - it ends what is queued, not the lane
                    self._log_internal(error)
                    self._flush(INTERNAL)
                    batch = None
                if batch is None:
                    self._controls.release(permit)
                else:
                    call = Call(batch, permit, self._context)
                    self._calls.add(call)  # at once: `forsake` must find every key in the backlog or in a call
                    nursery.start_soon(self._run_call, call)
                    # With the checkpoint in `acquire`, long enough for the call to begin: if it is the breaker's probe,
                    # the next batch has to know.
                    await trio.lowlevel.checkpoint()

    def _too_early(self, moment: float) -> set[bytes]:
        """The keys in flight whose answers may have been observed at or before that moment."""
        if moment == -math.inf:
            return set()
        return self._reserved.union(*[call.unsettled for call in self._calls if call.sent_at <= moment])

    def _closed(self) -> Problem | None:
        """Why nothing can be asked for some time; None if it can."""
        if self._controls.is_paused:
            return PAUSED
        return None if self._controls.admits else BREAKER_OPEN

    def _promote(self, keys: Collection[bytes]) -> None:
        """Puts what somebody waits for at a screen ahead of bulk work."""
        self._backlog.promote(keys)
        self._budget.promote(self)
        self._controls.reconsider()

    def _enqueue(self, parcel: Parcel) -> None:
        was_empty = not len(self._backlog)
        self._backlog.add(parcel)
        if parcel.priority is Priority.INTERACTIVE:
            self._budget.promote(self)
        if was_empty or parcel.priority is Priority.INTERACTIVE:
            self._controls.reconsider()

    def _wanted(self, at_once: int) -> Wanted:
        """What to send next, if so many inquiries may be sent at once."""
        interactive, queued = self._backlog.interactive, len(self._backlog)
        return next_batch(interactive, queued, at_once=at_once, batch_size=self.spec.batch_size, rate=self.spec.rate)

    async def _next_batch(self, size: int) -> CallBatch | None:
        """What to send now; None if nothing may be sent."""
        if self._controls.admits:
            return self._backlog.cut(size) if len(self._backlog) else None
        if self._controls.breaker is State.OPEN:
            self._flush()
        else:
            await self._controls.wait_call_ended()  # a probe is out: its result decides for those who wait here
        return None

    def _flush_if_closed(self) -> None:
        if self._controls.breaker is State.OPEN or self._controls.is_paused:
            self._flush()

    def _flush(self, problem: Problem | None = None) -> None:
        """Answers all that is queued with a problem; without one, with the reason why nothing can be asked."""
        while len(self._backlog):  # again: successors of what was answered are queued by that
            flushed = self._backlog.cut(len(self._backlog))
            self._settle_problem(flushed, problem or self._closed() or BREAKER_OPEN)

    def _settle_problem(self, batch: CallBatch, problem: Problem) -> None:
        self._settlement.problem(batch, Outcome.UNAVAILABLE, problem)
        self._release(self._flights.take_succeeded())

    async def _run_call(self, call: Call) -> None:
        try:
            try:
                await call.run()
            finally:
                self._calls.discard(call)
                self._controls.release(call.permit)
                self._release([*call.unsettled, *self._flights.take_succeeded()])
        except Exception as error:  # noqa: BLE001 - it ends the requests that wait for this call, not the lane
            self._log_internal(error)
            for parcel in call.waiting():
                parcel.waiter.fail(error)

    def _log_internal(self, error: Exception) -> None:
        log.error("institution %s: internal error: %s", self.spec.id, origin(error))

    def _release(self, keys: Iterable[bytes]) -> None:
        for parcel in self._flights.release(keys):
            self._enqueue(parcel)
