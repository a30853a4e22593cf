"""When a worker collects garbage: while nobody waits, and otherwise only when there could be much of it.

A collection stops the event loop, for up to a microsecond for each object it looks at. Nearly all objects of a request
are freed by their reference counts: 800,000 inquiries left 700 objects in cycles, while collections of young objects
took up to 50 ms each to find them. What may be garbage is counted by Python: objects made and not freed since the last
collection.

| requests in flight | collected when so many objects are uncollected |                                               |
|--------------------|------------------------------------------------|-----------------------------------------------|
| none               | 20,000                                         | all objects, in some 20 ms                    |
| some               | 500,000                                        | young ones: some 100 MB if all were garbage   |
| some               | 10,000,000                                     | all objects                                   |

What survives while nobody waits is what the worker is made of: lanes, connections, caches. It is not looked at again,
but for once an hour: of 4,000 institutions it is a million objects.
"""

import asyncio
import gc
from collections.abc import Callable, Sequence
from enum import Enum, auto

_WHEN_IDLE = 20_000  # objects
_YOUNGEST = 500_000  # objects
_YOUNG = 4  # collections of the youngest between two of the young
_UNDER_LOAD = 10_000_000  # objects
_NEVER = 2**31 - 1  # young collections until Python itself collects all objects
_CHECK_INTERVAL = 1.0  # s
_LOOK_AGAIN = 3600.0  # s until what survived is looked at again


class CollectionChoice(Enum):
    """What to do at a moment."""

    NOTHING = auto()
    COLLECT = auto()
    """All objects but those that have survived such a collection."""
    COLLECT_EVERYTHING = auto()


class CollectionSchedule:
    """State: when everything was collected last."""

    def __init__(self, now: float) -> None:
        """`now`, here and below, on a monotonic clock."""
        self._collected_at = now

    def decide(self, uncollected: int, *, is_idle: bool, now: float) -> CollectionChoice:
        """`uncollected`: objects, at most. `is_idle`: whether nobody waits."""
        if uncollected < (_WHEN_IDLE if is_idle else _UNDER_LOAD):
            return CollectionChoice.NOTHING
        if not is_idle or now - self._collected_at < _LOOK_AGAIN:
            return CollectionChoice.COLLECT
        self._collected_at = now
        return CollectionChoice.COLLECT_EVERYTHING


def uncollected(counts: Sequence[int]) -> int:
    """How many objects have survived since all were collected, at most. `counts`: what `gc.get_count` says."""
    objects, of_youngest, of_young = counts
    return objects + _YOUNGEST * (of_youngest + (_YOUNG + 1) * of_young)


def begin() -> None:
    """To be called when a worker is about to be ready: what there is by now is not garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, _YOUNG, _NEVER)


async def collect_forever(is_idle: Callable[[], bool]) -> None:
    """Collects all objects when it is time, until cancelled."""
    clock = asyncio.get_running_loop().time
    schedule = CollectionSchedule(clock())
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        idle = is_idle()
        decision = schedule.decide(uncollected(gc.get_count()), is_idle=idle, now=clock())
        if decision is CollectionChoice.COLLECT_EVERYTHING:
            gc.unfreeze()
        if decision is not CollectionChoice.NOTHING:
            gc.collect()
            if idle:
                gc.freeze()
