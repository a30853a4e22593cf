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
"""

from collections.abc import Iterable, Sequence

from broker.core.planning.parcel import Parcel

Follower = tuple[Parcel, int]
"""A follower: its parcel, and the index of the inquiry in it."""


class FlightTable:
    """The inquiries of one institution that are in flight, and their followers."""

    __slots__ = ("_followers", "_in_flight")

    def __init__(self) -> None:
        self._in_flight: set[bytes] = set()
        self._followers: dict[bytes, list[Follower]] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def join(self, parcel: Parcel) -> Parcel | None:
        """Adds a parcel. Returns the part that has to be sent, or None if all of it is in flight already.

        The keys of a parcel must be distinct.
        """
        if self._in_flight.isdisjoint(parcel.keys):
            self._in_flight.update(parcel.keys)
            return parcel
        fresh = []
        for index, key in enumerate(parcel.keys):
            if key in self._in_flight:
                self._followers.setdefault(key, []).append((parcel, index))
            else:
                fresh.append(index)
                self._in_flight.add(key)
        return parcel.pick(fresh) if fresh else None

    def wanted(self, parcel: Parcel) -> bool:
        """Whether a request still waits for an inquiry of the parcel: its own request, or a follower."""
        return parcel.waiter.open or any(
            follower.waiter.open for key in parcel.keys for follower, _ in self._followers.get(key, ())
        )

    def settle(self, keys: Sequence[bytes]) -> list[tuple[int, list[Follower]]]:
        """Ends flights that have their answers. Returns the followers to answer, by index into `keys`."""
        self._in_flight.difference_update(keys)
        if not self._followers:
            return []
        return [(index, followers) for index, key in enumerate(keys) if (followers := self._followers.pop(key, None))]

    def release(self, keys: Iterable[bytes]) -> list[Parcel]:
        """Ends flights that were cancelled. Returns the inquiries that still have followers: they have to be sent.

        The keys of the returned parcels are in flight again, and the first follower is the leader.
        """
        again: dict[Parcel, list[int]] = {}
        for key in keys:
            self._in_flight.discard(key)
            waiting = [follower for follower in self._followers.pop(key, ()) if follower[0].waiter.open]
            if waiting:
                (leader, index), *followers = waiting
                self._in_flight.add(key)
                if followers:
                    self._followers[key] = followers
                again.setdefault(leader, []).append(index)
        return [leader.pick(sorted(indices)) for leader, indices in again.items()]
