"""What a lane has yet to ask: parcels in order of arrival, interactive ones before bulk."""

from collections import deque
from collections.abc import Callable, Collection

from broker.core.planning.parcel import CallBatch, Parcel
from broker.model import Priority


class Backlog:
    """A queue of parcels, counted in inquiries."""

    __slots__ = ("_queues", "_sizes")

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[Parcel]] = {priority: deque() for priority in Priority}
        self._sizes = dict.fromkeys(Priority, 0)

    def __len__(self) -> int:
        return sum(self._sizes.values())

    @property
    def interactive(self) -> int:
        """Interactive inquiries in it."""
        return self._sizes[Priority.INTERACTIVE]

    def add(self, parcel: Parcel) -> None:
        """Puts a parcel at the end of its queue."""
        self._queues[parcel.priority].append(parcel)
        self._sizes[parcel.priority] += len(parcel)

    def promote(self, keys: Collection[bytes]) -> None:
        """Puts bulk inquiries about these subjects among the interactive ones: somebody has begun to wait for them."""
        wanted = frozenset(keys)
        kept: deque[Parcel] = deque()
        for parcel in self._queues[Priority.BULK]:
            for part in parcel.promoted(wanted):
                if part.priority is Priority.BULK:
                    kept.append(part)
                else:
                    self._sizes[Priority.BULK] -= len(part)
                    self.add(part)
        self._queues[Priority.BULK] = kept

    def cut(self, size: int) -> CallBatch:
        """Takes the next inquiries out, `size` at most."""
        taken: list[Parcel] = []
        for priority, queue in self._queues.items():
            while queue and size:
                parcel = queue.popleft()
                if len(parcel) > size:
                    parcel, rest = parcel.split(size)
                    queue.appendleft(rest)
                taken.append(parcel)
                size -= len(parcel)
                self._sizes[priority] -= len(parcel)
        return CallBatch(taken)

    def remove(self, unwanted: Callable[[Parcel], bool]) -> list[Parcel]:
        """Takes out the parcels for which `unwanted` holds."""
        removed: list[Parcel] = []
        for priority, queue in self._queues.items():
            kept: deque[Parcel] = deque()
            for parcel in queue:
                (removed if unwanted(parcel) else kept).append(parcel)
            self._queues[priority] = kept
            self._sizes[priority] = sum(map(len, kept))
        return removed
