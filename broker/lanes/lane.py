"""Everything the worker keeps per institution: its queue, its flights and its controls.

A lane is a bulkhead: whatever its institution does, other lanes go on. It sends when a call may be made: what is queued
by then, up to the institution's batch size. There is no time window, which would put a floor under every latency.

Rules

1. Every inquiry submitted is delivered exactly once to every waiter that is still open, whatever happens.
2. A call lives as long as somebody waits for it, and never longer than the institution's timeout.
3. A failed call is repeated only within the retry budget, after a random pause that grows.
4. A batch refused as a whole is halved until the inquiry it objects to stands alone.
5. Answers go to the store before their flights end, so that nobody asks again in between.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import add

import trio

from broker.core.control.breaker import State
from broker.core.control.pacing import Wanted, next_batch
from broker.core.planning.backlog import Backlog
from broker.core.planning.flight import FlightTable, Follower
from broker.core.planning.parcel import CallBatch, Parcel
from broker.core.wire import encoding, record
from broker.errors import BadReplyError, BreakerOpenError, InstitutionError, RejectedError, origin
from broker.institutions.interface import Institution
from broker.lanes.controls import Controls
from broker.lanes.failures import BREAKER_OPEN, INTERNAL, REJECTED, SILENCED, problem_of
from broker.lanes.permits import Permit
from broker.model import CACHEABLE, Mandate, Outcome, Priority, Problem, Question, Reply, Source
from broker.store.base import Statements, Store

log = logging.getLogger(__name__)

_CACHEABLE = bytes(sorted(CACHEABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """A lane at one moment, and its totals since the start."""

    queued: int
    """Inquiries not yet sent."""
    in_flight: int
    """Inquiries queued or being asked."""
    calls: int
    """Batches under way."""
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


@dataclass(slots=True, eq=False)
class _Call:
    """A batch under way, and the keys of it that are still to be settled."""

    batch: CallBatch
    unsettled: set[bytes]
    permit: Permit
    scope: trio.CancelScope
    refused: list[CallBatch] = field(default_factory=list)
    """Single inquiries the institution would not take, to be settled when the others have been asked."""

    def waiting(self) -> Iterable[Parcel]:
        """The parcels with something still to be settled."""
        return (parcel for parcel in self.batch.parcels if not self.unsettled.isdisjoint(parcel.keys))


class Lane:
    """Asks one institution on behalf of all requests of this worker.

    State: the backlog, the flight table, the calls under way, and the controls. Only `run`'s tasks await.
    """

    def __init__(
        self, institution: Institution, store: Store, *, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        """`clock` gives seconds since the epoch, `random` numbers in [0, 1). Create it inside trio."""
        self.spec = institution.spec
        self._institution = institution
        self._key = record.institution_key(self.spec.id)
        self._store = store
        self._clock = clock
        self._backlog = Backlog()
        self._flights = FlightTable()
        self._calls: set[_Call] = set()
        self._controls = Controls(self.spec, random)
        self._lifetimes = [0] * (max(Outcome) + 1)
        self._lifetimes[Outcome.FOUND] = int(self.spec.found_ttl)
        self._lifetimes[Outcome.NOT_FOUND] = int(self.spec.not_found_ttl)
        self._has_answered = False
        self._asked = self._repeated = self._shared = 0

    def statistics(self) -> LaneStatistics:
        """The lane at this moment."""
        return LaneStatistics(
            queued=len(self._backlog),
            in_flight=len(self._flights),
            calls=len(self._calls),
            limit=self._controls.limit,
            breaker=self._controls.breaker,
            asked=self._asked,
            repeated=self._repeated,
            shared=self._shared,
            failures=dict(self._controls.failures),
        )

    def submit(self, parcel: Parcel) -> None:
        """Takes in what a request asks. Returns at once; answers are delivered to the parcel's waiter."""
        if not parcel.waiter.open:
            return
        if (problem := self._closed()) is not None:
            segments, outcomes = self._problem_columns(len(parcel), Outcome.UNAVAILABLE, problem)
            _deliver(parcel, slice(None), segments=segments, outcomes=outcomes, source=Source.BROKER)
            return
        fresh = self._flights.join(parcel)
        if parcel.priority is Priority.INTERACTIVE and (fresh is None or len(fresh) < len(parcel)):
            self._backlog.promote(parcel.keys)
            self._controls.reconsider()
        if fresh is not None:
            self._enqueue(fresh)

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
                batch = await self._next_batch(permit.size)
                if batch is None:
                    self._controls.release(permit)
                else:
                    call = _Call(batch, set(batch.keys), permit, trio.CancelScope())
                    self._calls.add(call)  # at once: `forsake` must find every key in the backlog or on a call
                    nursery.start_soon(self._travel, call)
                    # With the checkpoint in `acquire`, long enough for the call to begin: if it is the breaker's probe,
                    # the next batch has to know.
                    await trio.lowlevel.checkpoint()

    def _closed(self) -> Problem | None:
        """Why nothing can be asked for some time; None if it can."""
        if self._controls.is_silenced:
            return SILENCED
        return None if self._controls.admits else BREAKER_OPEN

    def _enqueue(self, parcel: Parcel) -> None:
        was_empty = not len(self._backlog)
        self._backlog.add(parcel)
        if was_empty or parcel.priority is Priority.INTERACTIVE:
            self._controls.reconsider()

    def _wanted(self, at_once: int) -> Wanted:
        """What to send next, if so many inquiries may be sent at once."""
        interactive, queued = self._backlog.interactive, len(self._backlog)
        return next_batch(interactive, queued, at_once=at_once, batch_size=self.spec.batch_size, rate=self.spec.rate)

    async def _next_batch(self, size: int) -> CallBatch | None:
        """What to send now; None if nothing may be sent."""
        if self._controls.admits:
            return self._backlog.cut(size)
        if self._controls.breaker is State.OPEN:
            self._flush()
        else:
            await self._controls.verdict()  # a probe is out: its result decides for those who wait here
        return None

    def _flush(self) -> None:
        if len(self._backlog):
            flushed = self._backlog.cut(len(self._backlog))
            self._settle_problem(flushed, Outcome.UNAVAILABLE, self._closed() or BREAKER_OPEN)

    async def _travel(self, call: _Call) -> None:
        batch = call.batch
        try:
            with call.scope:
                await self._ask(call, batch, sent=0, failed=0)
                self._settle_refused(call)
        except Exception as error:  # noqa: BLE001 - one batch must not end the lane, and every other request with it
            log.error("institution %s: internal error: %s", self.spec.id, origin(error))
            unsettled = [item for item, key in enumerate(batch.keys) if key in call.unsettled]
            self._settle_problem(batch.pick(unsettled), Outcome.UNAVAILABLE, INTERNAL, call)
        finally:
            self._calls.discard(call)
            self._controls.release(call.permit)
            self._release(call.unsettled)

    async def _ask(self, call: _Call, batch: CallBatch, *, sent: int, failed: int) -> None:
        """Asks until every item has its answer, or no further attempt is allowed.

        `sent`: how often these items have been sent before; `failed`: how often that failed. A batch that was halved
        was sent, but did not fail.
        """
        error: InstitutionError
        reply: Reply | None = None
        open_items: Sequence[int] = range(len(batch))
        try:
            reply = await self._call(call, batch, sent + 1)
        except RejectedError as refusal:
            await self._bisect(call, batch, refusal, sent=sent + 1, failed=failed)
            return
        except BreakerOpenError:
            self._settle_problem(batch, Outcome.UNAVAILABLE, BREAKER_OPEN, call)
            return
        except InstitutionError as failure:
            log.warning("institution %s: %d inquiries: %s", self.spec.id, len(batch), failure)
            error = failure
        else:
            open_items = self._settle_answered(call, batch, reply)
            if not open_items:
                return
            error = BadReplyError("some inquiries got no usable answer")
        parts = batch.pick(open_items).by_priority()
        if not await self._controls.may_repeat(error, failed + 1, calls=len(parts)):
            self._give_up(call, batch, open_items, reply, error)
            return
        for part in parts:
            await self._ask(call, part, sent=sent + 1, failed=failed + 1)

    async def _call(self, call: _Call, batch: CallBatch, attempt: int) -> Reply:
        if attempt > 1:
            await self._controls.acquire_again(call.permit, len(batch), batch.parcels[0].priority)
        if not self._controls.admits:
            msg = "its breaker is open"
            raise BreakerOpenError(msg)
        if attempt == 1:
            self._asked += len(batch)
        else:
            self._repeated += len(batch)
        mandates: dict[Mandate, int] = {}
        mandate_of: list[int] = []
        for parcel in batch.parcels:
            mandate_of += [mandates.setdefault(parcel.mandate, len(mandates))] * len(parcel)
        question = Question(
            request_id=uuid.uuid4().hex,
            institution_id=self.spec.id,
            attempt=attempt,
            mandates=list(mandates),
            mandate_of=mandate_of,
            subjects=batch.subjects,
        )
        try:
            return await self._controls.call(self._institution, question)
        finally:
            if self._controls.breaker is State.OPEN or self._controls.is_silenced:
                self._flush()

    async def _bisect(self, call: _Call, batch: CallBatch, refusal: RejectedError, *, sent: int, failed: int) -> None:
        if not refusal.divisible or (len(batch) > 1 and not self._controls.may_bisect()):
            log.warning("institution %s: refuses %d inquiries: %s", self.spec.id, len(batch), refusal)
            self._settle_problem(batch, Outcome.UNAVAILABLE, problem_of(refusal), call)
        elif len(batch) == 1:
            call.refused.append(batch)
        else:
            parts = batch.by_priority()
            for part in parts if len(parts) > 1 else batch.halves():
                await self._ask(call, part, sent=sent, failed=failed)

    def _settle_refused(self, call: _Call) -> None:
        """Settles inquiries that were refused standing alone.

        Only of an institution that has answered something is that known to be about the inquiry: one that refuses
        whatever it is sent has been configured wrongly, and that is no answer.
        """
        for batch in call.refused:
            if self._has_answered:
                self._settle_problem(batch, Outcome.REFUSED, REJECTED, call)
            else:
                self._settle_problem(batch, Outcome.UNAVAILABLE, problem_of(RejectedError("")), call)

    def _give_up(
        self, call: _Call, batch: CallBatch, items: Sequence[int], reply: Reply | None, error: InstitutionError
    ) -> None:
        if reply is None:
            self._settle_problem(batch.pick(items), Outcome.UNAVAILABLE, problem_of(error), call)
        else:  # what was wrong with each item is the broker's finding, not the institution's word
            left = _pick(reply, items)
            segments = encoding.make_segments(self.spec.id, left.contents, Source.BROKER)
            self._finish(batch.pick(items), segments, outcomes=left.outcomes, source=Source.BROKER, call=call)

    def _settle_answered(self, call: _Call, batch: CallBatch, reply: Reply) -> Sequence[int]:
        """Settles the items that have an answer. Returns the others."""
        self._has_answered = True
        if Outcome.UNAVAILABLE not in reply.outcomes:
            self._settle(call, batch, reply)
            return ()
        answered = [i for i, outcome in enumerate(reply.outcomes) if outcome != Outcome.UNAVAILABLE]
        self._settle(call, batch.pick(answered), _pick(reply, answered))
        return [i for i, outcome in enumerate(reply.outcomes) if outcome == Outcome.UNAVAILABLE]

    def _settle(self, call: _Call, batch: CallBatch, reply: Reply) -> None:
        segments = encoding.make_segments(self.spec.id, reply.contents, Source.INSTITUTION)
        self._remember(batch, reply, segments)
        self._finish(batch, segments, outcomes=reply.outcomes, source=Source.INSTITUTION, call=call)

    def _settle_problem(self, batch: CallBatch, outcome: Outcome, problem: Problem, call: _Call | None = None) -> None:
        segments, outcomes = self._problem_columns(len(batch), outcome, problem)
        source = Source.INSTITUTION if outcome is Outcome.REFUSED else Source.BROKER
        self._finish(batch, encoding.with_source(segments, source), outcomes=outcomes, source=source, call=call)

    def _problem_columns(self, size: int, outcome: Outcome, problem: Problem) -> tuple[list[bytes], bytes]:
        content = encoding.content(outcome, problem=problem)
        return encoding.make_segments(self.spec.id, [content], Source.BROKER) * size, bytes((outcome,)) * size

    def _remember(self, batch: CallBatch, reply: Reply, segments: Sequence[bytes]) -> None:
        """Puts the answers that state a fact into the store."""
        now = int(self._clock())
        observed = reply.observed_at
        if max(observed, default=0) > now:
            observed = [min(at, now) for at in observed]
        statements = Statements(
            institution=self._key,
            keys=batch.keys,
            outcomes=reply.outcomes,
            observed=observed,
            expires=list(map(add, observed, map(self._lifetimes.__getitem__, reply.outcomes))),
            segments=segments,
        )
        if reply.outcomes.translate(None, _CACHEABLE):
            statements = statements.pick([i for i, o in enumerate(reply.outcomes) if o in CACHEABLE])
        self._store.put_many(statements)

    def _finish(
        self, batch: CallBatch, segments: Sequence[bytes], *, outcomes: bytes, source: Source, call: _Call | None
    ) -> None:
        """Delivers answers, aligned with the batch, to those who asked and those who follow."""
        keys = batch.keys
        if call is not None:
            call.unsettled.difference_update(keys)
        followers = self._flights.settle(keys)
        for parcel, span in batch.spans():
            _deliver(parcel, span, segments=segments, outcomes=outcomes, source=source)
        if followers:
            shared = Source.BROKER if source is Source.BROKER else Source.FLIGHT
            self._shared += _share(followers, encoding.with_source(segments, shared), outcomes, shared)

    def _release(self, keys: Iterable[bytes]) -> None:
        for parcel in self._flights.release(keys):
            self._enqueue(parcel)


def _deliver(parcel: Parcel, span: slice, *, segments: Sequence[bytes], outcomes: bytes, source: Source) -> None:
    if not parcel.waiter.open:
        return
    try:
        parcel.waiter.deliver(
            parcel.column, parcel.rows, segments=segments[span], outcomes=outcomes[span], source=source
        )
    except Exception as error:  # noqa: BLE001 - one request's trouble must not keep answers from the others
        log.error("a request could not take its answers: internal error: %s", origin(error))


def _share(
    to_share: Iterable[tuple[int, list[Follower]]], segments: Sequence[bytes], outcomes: bytes, source: Source
) -> int:
    """Delivers to every follower; each parcel's answers together. Returns how many answers that were."""
    by_parcel: dict[Parcel, tuple[list[int], list[int]]] = {}
    for item, followers in to_share:
        for parcel, index in followers:
            items, indices = by_parcel.setdefault(parcel, ([], []))
            items.append(item)
            indices.append(index)
    for parcel, (items, indices) in by_parcel.items():
        _deliver(
            parcel.pick(indices),
            slice(None),
            segments=[segments[item] for item in items],
            outcomes=bytes([outcomes[item] for item in items]),
            source=source,
        )
    return sum(len(items) for items, _ in by_parcel.values())


def _pick(reply: Reply, items: Sequence[int]) -> Reply:
    return Reply(
        outcomes=bytes([reply.outcomes[i] for i in items]),
        contents=[reply.contents[i] for i in items],
        observed_at=[reply.observed_at[i] for i in items],
    )
