"""All lanes of a worker: what a request asks goes to each institution's lane, and what landed meanwhile with it.

Trio only. The work is linear in the inquiries it is about: each record of the store is read and unpacked once, however
many institutions are asked. It is done in as many steps of the loop as it takes (`StepBudget`).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from broker.core.planning.chunk import chunk_size
from broker.core.planning.freshness import Freshness
from broker.core.planning.landed import Landed, add_landed
from broker.core.planning.parcel import Parcel, Submission
from broker.core.wire.record import Entry, institution_key
from broker.lanes.lane import NOTHING_LANDED, Lane
from broker.loops.step_budget import StepBudget
from broker.model import InstitutionSpec
from broker.store.base import Store

# Microseconds, estimated.
_LANE, _LANE_EACH = 10.0, 0.3  # to reserve or submit a parcel, and each of its inquiries
_LANDED = 3.0  # to deliver an answer that landed meanwhile
_READ, _READ_EACH = 5.0, 1.0  # to look for a record, and to make it of each institution's answer not committed yet
_UNPACK = 0.02  # to unpack each byte of a record
_FORSAKE = 10.0  # to look through a lane for what nobody waits for


class FanOut:
    """The lanes, by institution."""

    def __init__(self, lanes: Iterable[Lane], store: Store, budget: StepBudget, *, clock: Callable[[], float]) -> None:
        """`store`: the one the lanes write to. `budget`: theirs. `clock` gives seconds since the epoch."""
        self.lanes: Mapping[str, Lane] = {lane.spec.id: lane for lane in lanes}
        self.budget = budget
        self._keys = {name: institution_key(name) for name in self.lanes}
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Serves the lanes until cancelled."""
        async with trio.open_nursery() as nursery:
            for lane in self.lanes.values():
                nursery.start_soon(lane.run)

    async def submit(self, submission: Submission, institutions: Sequence[InstitutionSpec]) -> None:
        """Puts what a request asks into the lanes. `institutions` by column.

        If it is cancelled, or fails, nothing is left reserved.
        """
        max_age = submission.max_age
        reserved: dict[str, Parcel] = {}
        try:
            for column, asked in submission.asked.items():
                await self._spend(submission, len(asked))
                name = institutions[column].id
                after = -math.inf if max_age is None else trio.current_time() - max_age
                if (fresh := self.lanes[name].reserve(submission.parcel(column), joins_calls_after=after)) is not None:
                    reserved[name] = fresh
            landed = await self._look(submission) if reserved else {}
            for name in list(reserved):
                there = landed.get(self._keys[name], NOTHING_LANDED)
                await self._spend(submission, len(reserved[name]), landed=len(there))
                self.lanes[name].ask(reserved[name], there)
                del reserved[name]
        finally:
            with trio.CancelScope(shield=True):
                for name, parcel in reserved.items():
                    await self._spend(submission, len(parcel))
                    self.lanes[name].give_back(parcel)

    async def forsake(self, institutions: Sequence[str]) -> None:
        """To be called when a request has ended: the lanes it asked give up what nobody waits for any more."""
        for name in institutions:
            await self.budget.spend(_FORSAKE)
            self.lanes[name].forsake()

    async def _spend(self, submission: Submission, inquiries: int, *, landed: int = 0) -> None:
        cost = _LANE + _LANE_EACH * inquiries + _LANDED * landed
        await self.budget.spend(cost, submission.missed.priority)

    async def _look(self, submission: Submission) -> Mapping[bytes, Landed]:
        """Looks into the store for what landed since the request was planned. Returns it by `institution_key`."""
        keys, priority = submission.missed.keys, submission.missed.priority
        found: dict[bytes, dict[bytes, Entry]] = {}
        freshness = Freshness.at(self._clock(), submission.max_age)
        if not freshness.accepts_any:
            return found
        institutions = len(submission.asked)
        size = chunk_size(institutions)
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            await self.budget.spend((_READ + _READ_EACH * institutions) * len(part), priority)
            records = self._store.get_many(part)
            if held := sum(len(record) for record in records if record is not None):
                await self.budget.spend(_UNPACK * held, priority)
                add_landed(found, part, records, freshness)
        return found
