"""How inquiries of a lane end: their answers go into the store, to those who asked, and to those who followed.

Every inquiry submitted is delivered exactly once to every waiter that is still open. Answers go to the store before
their flights end, so that nobody asks again in between.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from operator import add

from broker.core.planning.flight import FlightTable, Follower
from broker.core.planning.landed import Landed
from broker.core.planning.parcel import CallBatch, Parcel
from broker.core.wire import encoding
from broker.core.wire.record import institution_key
from broker.errors import origin
from broker.model import CACHEABLE, InstitutionSpec, Outcome, Problem, Reply, Source
from broker.store.base import Statements, Store

log = logging.getLogger(__name__)

_CACHEABLE = bytes(sorted(CACHEABLE))


class Settlement:
    """Ends inquiries of one institution. State: the flights, which it ends, and how many answers were shared."""

    def __init__(
        self, spec: InstitutionSpec, store: Store, flights: FlightTable, *, clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self._id = spec.id
        self._key = institution_key(spec.id)
        self._store = store
        self._flights = flights
        self._clock = clock
        self._ttls = [0] * (max(Outcome) + 1)
        self._ttls[Outcome.FOUND] = int(spec.found_ttl)
        self._ttls[Outcome.NOT_FOUND] = int(spec.not_found_ttl)
        self.shared = 0
        """Answers given to a request other than the one that asked."""

    def answer(self, batch: CallBatch, reply: Reply) -> None:
        """Settles inquiries with what the institution said about each."""
        segments = encoding.make_segments(self._id, reply.contents, Source.INSTITUTION)
        self._remember(batch, reply, segments)
        self._finish(batch, segments, outcomes=reply.outcomes, source=Source.INSTITUTION)

    def unusable(self, batch: CallBatch, reply: Reply) -> None:
        """Settles inquiries with what is wrong with the reply to each: the broker's finding, not the institution's."""
        segments = encoding.make_segments(self._id, reply.contents, Source.BROKER)
        self._finish(batch, segments, outcomes=reply.outcomes, source=Source.BROKER)

    def problem(self, batch: CallBatch, outcome: Outcome, problem: Problem) -> None:
        """Settles all inquiries with one problem. REFUSED is the institution's word, anything else the broker's."""
        source = Source.INSTITUTION if outcome is Outcome.REFUSED else Source.BROKER
        segments, outcomes = self._problem_columns(len(batch), outcome, problem, source)
        self._finish(batch, segments, outcomes=outcomes, source=source)

    def answer_landed(self, parcel: Parcel, indices: Sequence[int], landed: Landed) -> None:
        """Settles inquiries of a parcel with what landed meanwhile."""
        entries = [landed[parcel.keys[index]] for index in indices]
        self._finish(
            CallBatch([parcel.pick(indices)]),
            [entry.segment for entry in entries],
            outcomes=bytes([entry.outcome for entry in entries]),
            source=Source.CACHE,
        )

    def _problem_columns(
        self, size: int, outcome: Outcome, problem: Problem, source: Source
    ) -> tuple[list[bytes], bytes]:
        content = encoding.content(outcome, problem=problem)
        return encoding.make_segments(self._id, [content], source) * size, bytes((outcome,)) * size

    def _remember(self, batch: CallBatch, reply: Reply, segments: Sequence[bytes]) -> None:
        """Puts the answers that state a fact into the store, for their TTL from when they were observed.

        If the clock was set back since, it begins now: they must not be kept for longer, and are not fresh before.
        """
        now = int(self._clock())
        begun = observed = reply.observed_at
        if max(observed, default=0) > now:
            begun = [min(at, now) for at in observed]
        statements = Statements(
            institution=self._key,
            keys=batch.keys,
            outcomes=reply.outcomes,
            observed=observed,
            expires=list(map(add, begun, map(self._ttls.__getitem__, reply.outcomes))),
            segments=segments,
        )
        if reply.outcomes.translate(None, _CACHEABLE):
            statements = statements.pick([i for i, o in enumerate(reply.outcomes) if o in CACHEABLE])
        self._store.put_many(statements)

    def _finish(self, batch: CallBatch, segments: Sequence[bytes], *, outcomes: bytes, source: Source) -> None:
        """Delivers answers, aligned with the batch, to those who asked and those who follow."""
        followers = self._flights.settle(batch.keys)
        for parcel, span in batch.spans():
            _deliver(parcel, span, segments=segments, outcomes=outcomes, source=source)
        if followers:
            shared = Source.FLIGHT if source is Source.INSTITUTION else source
            self.shared += _share(followers, encoding.with_source(segments, shared), outcomes, shared)


def _deliver(parcel: Parcel, span: slice, *, segments: Sequence[bytes], outcomes: bytes, source: Source) -> None:
    if not parcel.waiter.open:
        return
    try:
        parcel.waiter.deliver(
            parcel.column, parcel.rows, segments=segments[span], outcomes=outcomes[span], source=source
        )
    except Exception as error:  # noqa: BLE001 - one request's failure must not keep answers from the others
        log.error("request %s: internal error while it took its answers: %s", parcel.waiter.request_id, origin(error))
        parcel.waiter.fail(error)


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
