"""When a worker collects garbage: while nobody waits, and otherwise only when there could be much of it.

A collection stops the event loop, for up to a microsecond for each object it looks at. Nearly all objects of a request
are freed by their reference counts: 800,000 inquiries left 700 objects in cycles, while collections of young objects
took up to 50 ms each to find them, and looked at the objects of all requests in flight. So Python's own collections are
off. What may be garbage is counted by Python: objects made and not freed since the last collection.

| requests in flight | collected when so many objects are uncollected |                                    |
|--------------------|------------------------------------------------|------------------------------------|
| none               | 20,000                                         | in some 20 ms                      |
| some               | 1,000,000, and 8 for each inquiry in flight    | some 200 MB if all were garbage    |

What survives while nobody waits is what the worker is made of: lanes, connections, caches. It is not looked at again,
but for once an hour: of 4,000 institutions it is a million objects.
"""

import asyncio
import gc
from collections.abc import Callable
from enum import Enum, auto

_WHEN_IDLE = 20_000  # objects
_UNDER_LOAD = 1_000_000  # objects
_PER_INQUIRY = 8  # objects that belong to an inquiry in flight, at most
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

    def decide(self, uncollected: int, *, is_idle: bool, in_flight: int, now: float) -> CollectionChoice:
        """`uncollected`: objects, at most. `is_idle`: whether nobody waits. `in_flight`: inquiries."""
        if uncollected < (_WHEN_IDLE if is_idle else _UNDER_LOAD + _PER_INQUIRY * in_flight):
            return CollectionChoice.NOTHING
        if not is_idle or now - self._collected_at < _LOOK_AGAIN:
            return CollectionChoice.COLLECT
        self._collected_at = now
        return CollectionChoice.COLLECT_EVERYTHING


def begin() -> None:
    """To be called when a worker is about to be ready: what there is by now is not garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def collect_forever(is_idle: Callable[[], bool], in_flight: Callable[[], int]) -> None:
    """Collects all objects when it is time, until cancelled. The arguments are those of `CollectionSchedule.decide`."""
    clock = asyncio.get_running_loop().time
    schedule = CollectionSchedule(clock())
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        idle = is_idle()
        uncollected, _, _ = gc.get_count()
        decision = schedule.decide(uncollected, is_idle=idle, in_flight=in_flight(), now=clock())
        if decision is CollectionChoice.COLLECT_EVERYTHING:
            gc.unfreeze()
        if decision is not CollectionChoice.NOTHING:
            gc.collect()
            if idle:
                gc.freeze()
