"""Single flight: an inquiry that is in flight is not sent again; later requests wait for the same answer.

Rules

1. A key is in flight from the moment its parcel joins until it is settled or released, and `settle` or `release` is
   called for every key that joined, in a `finally`: a key can never be left hanging.
2. The first request is the leader: its parcel is sent. Later requests register as followers of the key.
3. A flight belongs to the lane, not to its leader. If the leader's request ends and the key has followers, the flight
   continues. If the call was cancelled just before a follower joined, the follower becomes the leader of a new flight:

       leader's request is cancelled; nobody else waits   → the lane cancels the call
       another request joins the key                      → it follows, because the key is still in flight
       the cancelled call ends                            → `release` returns the follower, and the lane asks for it
4. A request that does not accept the answer of the call in flight (core.planning.freshness) is a successor: it waits
   for the end of this flight, and leads the next one.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from broker.core.planning.parcel import Parcel
from broker.model import Priority

Follower = tuple[Parcel, int]
"""A follower: its parcel, and the index of the inquiry in it."""


class FlightTable:
    """The inquiries of one institution that are in flight, their followers and their successors."""

    __slots__ = ("_followers", "_in_flight", "_succeeded", "_successors")

    def __init__(self) -> None:
        self._in_flight: set[bytes] = set()
        self._followers: dict[bytes, list[Follower]] = {}
        self._successors: dict[bytes, list[Follower]] = {}
        self._succeeded: list[bytes] = []

    def __len__(self) -> int:
        return len(self._in_flight)

    def join(self, parcel: Parcel, too_early: AbstractSet[bytes] = frozenset()) -> Parcel | None:
        """Adds a parcel. Returns the part that has to be sent, or None if all of it is in flight already.

        The keys of a parcel must be distinct. `too_early`: keys in flight whose answers the request does not accept.
        """
        if self._in_flight.isdisjoint(parcel.keys):
            self._in_flight.update(parcel.keys)
            return parcel
        fresh = []
        for index, key in enumerate(parcel.keys):
            if key in self._in_flight:
                waiting = self._successors if key in too_early else self._followers
                waiting.setdefault(key, []).append((parcel, index))
            else:
                fresh.append(index)
                self._in_flight.add(key)
        return parcel.pick(fresh) if fresh else None

    def wanted(self, parcel: Parcel) -> bool:
        """Whether a request still waits for an inquiry of the parcel: its own request, or a follower."""
        return parcel.waiter.open or any(
            follower.waiter.open for key in parcel.keys for follower, _ in self._followers.get(key, ())
        )

    def urgent(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys that an interactive request follows."""
        if not self._followers:
            return []
        return [
            key
            for key in keys
            if any(
                parcel.priority is Priority.INTERACTIVE and parcel.waiter.open
                for parcel, _ in self._followers.get(key, ())
            )
        ]

    def settle(self, keys: Sequence[bytes]) -> list[tuple[int, list[Follower]]]:
        """Ends flights that have their answers. Returns the followers to answer, by index into `keys`.

        Keys that have successors stay in flight, until they are taken (`take_succeeded`) and released.
        """
        self._in_flight.difference_update(keys)
        if self._successors and (succeeded := [key for key in keys if key in self._successors]):
            self._in_flight.update(succeeded)
            self._succeeded += succeeded
        if not self._followers:
            return []
        return [(index, followers) for index, key in enumerate(keys) if (followers := self._followers.pop(key, None))]

    def take_succeeded(self) -> list[bytes]:
        """Keys that were settled and have successors, to be released by the caller."""
        taken, self._succeeded = self._succeeded, []
        return taken

    def release(self, keys: Iterable[bytes]) -> list[Parcel]:
        """Ends flights without an answer for those who wait. Returns the inquiries that have to be sent for them.

        The keys of the returned parcels are in flight again, and the first who waits is the leader.
        """
        again: dict[Parcel, list[int]] = {}
        for key in keys:
            self._in_flight.discard(key)
            everybody = chain(self._followers.pop(key, ()), self._successors.pop(key, ()))
            waiting = [follower for follower in everybody if follower[0].waiter.open]
            if waiting:
                (leader, index), *followers = waiting
                self._in_flight.add(key)
                if followers:
                    self._followers[key] = followers
                again.setdefault(leader, []).append(index)
        return [leader.pick(sorted(indices)) for leader, indices in again.items()]
