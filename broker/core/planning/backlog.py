"""What a lane has yet to ask: parcels in order of arrival, interactive ones before bulk."""

from collections import deque
from collections.abc import Callable, Collection

from broker.core.planning.parcel import CallBatch, Parcel
from broker.model import Priority


class Backlog:
    """A queue of parcels, counted in inquiries."""

    __slots__ = ("_queues", "_size")

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[Parcel]] = {priority: deque() for priority in Priority}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, parcel: Parcel) -> None:
        """Puts a parcel at the end of its queue."""
        self._queues[parcel.priority].append(parcel)
        self._size += len(parcel)

    def promote(self, keys: Collection[bytes]) -> None:
        """Puts bulk inquiries about these subjects among the interactive ones: somebody has begun to wait for them."""
        wanted = frozenset(keys)
        kept: deque[Parcel] = deque()
        for parcel in self._queues[Priority.BULK]:
            if wanted.isdisjoint(parcel.keys):
                kept.append(parcel)
                continue
            urgent = [index for index, key in enumerate(parcel.keys) if key in wanted]
            self._queues[Priority.INTERACTIVE].append(parcel.pick(urgent))
            if len(urgent) < len(parcel):
                kept.append(parcel.pick([index for index, key in enumerate(parcel.keys) if key not in wanted]))
        self._queues[Priority.BULK] = kept

    def cut(self, size: int) -> CallBatch:
        """Takes the next inquiries out, `size` at most."""
        taken: list[Parcel] = []
        for queue in self._queues.values():
            while queue and size:
                parcel = queue.popleft()
                if len(parcel) > size:
                    parcel, rest = parcel.split(size)
                    queue.appendleft(rest)
                taken.append(parcel)
                size -= len(parcel)
                self._size -= len(parcel)
        return CallBatch(taken)

    def remove(self, unwanted: Callable[[Parcel], bool]) -> list[Parcel]:
        """Takes out the parcels for which `unwanted` holds."""
        removed: list[Parcel] = []
        for priority, queue in self._queues.items():
            kept: deque[Parcel] = deque()
            for parcel in queue:
                (removed if unwanted(parcel) else kept).append(parcel)
            self._queues[priority] = kept
        self._size -= sum(map(len, removed))
        return removed
