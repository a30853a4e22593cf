"""All lanes of a worker: what a request asks goes to each institution's lane, and what landed meanwhile with it.

Trio only. Steps are linear in the inquiries they are about: each record of the store is read and unpacked once, however
many institutions are asked.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from broker.core.planning.freshness import Freshness
from broker.core.planning.landed import find_landed
from broker.core.planning.parcel import Parcel
from broker.core.wire.record import institution_key
from broker.lanes.lane import NOTHING_LANDED, Lane
from broker.store.base import Store

_LANES_AT_ONCE = 200  # told that a request has ended, in one step: a millisecond or two when all are at work


class FanOut:
    """The lanes, by institution."""

    def __init__(self, lanes: Iterable[Lane], store: Store, *, clock: Callable[[], float]) -> None:
        """`store`: the one the lanes write to. `clock` gives seconds since the epoch."""
        self.lanes: Mapping[str, Lane] = {lane.spec.id: lane for lane in lanes}
        self._keys = {name: institution_key(name) for name in self.lanes}
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Serves the lanes until cancelled."""
        async with trio.open_nursery() as nursery:
            for lane in self.lanes.values():
                nursery.start_soon(lane.run)

    def submit(self, parcels: Mapping[str, Parcel], keys: Sequence[bytes], *, max_age: float | None = None) -> None:
        """Puts parcels into the lanes of the institutions they are for.

        `keys`: all subjects they are about, each once. `max_age`: the request's, in seconds.
        """
        freshness = Freshness.at(self._clock(), max_age)
        landed = find_landed(keys, self._store.get_many(keys), freshness) if freshness.accepts_any else {}
        joins_calls_after = -math.inf if max_age is None else trio.current_time() - max_age
        for name, parcel in parcels.items():
            self.lanes[name].submit(
                parcel, landed.get(self._keys[name], NOTHING_LANDED), joins_calls_after=joins_calls_after
            )

    async def forsake(self, institutions: Sequence[str]) -> None:
        """To be called when a request has ended: the lanes it asked give up what nobody waits for any more."""
        for start in range(0, len(institutions), _LANES_AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            for name in institutions[start : start + _LANES_AT_ONCE]:
                self.lanes[name].forsake()
