"""When a worker collects garbage: young objects as they come, all of them while nobody waits.

A collection stops the event loop, for up to 300 ns for each object it looks at. Nearly all objects of a request are
freed by their reference counts, and cycles are rare, so:

| generation  | is collected                                                                                 |
|-------------|----------------------------------------------------------------------------------------------|
| young       | often enough that it takes a few milliseconds                                                |
| all objects | when no request is in flight; under load only after so many young collections that memory    |
|             | could grow by some hundred megabytes if all that survived them were garbage                  |

What survives a collection of all objects while nobody waits is what the worker is made of: lanes, connections, caches.
It is not looked at again, but for once an hour: of 4,000 institutions it is a million objects.
"""

import asyncio
import gc
from collections.abc import Callable
from enum import Enum, auto

_YOUNGEST = 5_000  # objects more than were freed: with Python's 700, a tenth of the CPU of a miss was spent in vain
_YOUNG = 3  # collections of the youngest between two of the young: 20,000 objects at most
_ENOUGH, _TOO_MANY = 1, 100  # collections of the young since all objects were collected: when idle, and under load
_NEVER = 2**31 - 1  # young collections until Python itself collects all objects
_CHECK_INTERVAL = 1.0  # s
_LOOK_AGAIN = 3600.0  # s until what survived is looked at again


class Decision(Enum):
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

    def decide(self, young: int, *, is_idle: bool, now: float) -> Decision:
        """`young`: collections of young objects since all were collected. `is_idle`: whether nobody waits."""
        if not is_idle:
            return Decision.COLLECT if young >= _TOO_MANY else Decision.NOTHING
        if young < _ENOUGH:
            return Decision.NOTHING
        if now - self._collected_at < _LOOK_AGAIN:
            return Decision.COLLECT
        self._collected_at = now
        return Decision.COLLECT_EVERYTHING


def begin() -> None:
    """To be called when a worker has been built: what there is by now is not garbage."""
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
        decision = schedule.decide(gc.get_count()[2], is_idle=idle, now=clock())
        if decision is Decision.COLLECT_EVERYTHING:
            gc.unfreeze()
        if decision is not Decision.NOTHING:
            gc.collect()
            if idle:
                gc.freeze()
