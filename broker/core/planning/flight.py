"""Single flight: an inquiry now being asked is not asked again; later askers wait for the same answer.

Rules

1. A key is in flight from the moment its parcel joins until it is settled or released, and `settle` or `release` is
   called for every key that joined, in a `finally`: a key can never be left hanging.
2. The first asker leads: its parcel is what is sent. Later askers follow: each takes a seat at the key.
3. A flight belongs to the lane, not to its leader. When the leader leaves and somebody follows, the flight goes on;
   when the call was given up just before somebody joined, the follower becomes the leader of a new one:

       leader's request is cancelled; nobody else waits   → the lane cancels the call
       another request joins the key                      → takes a seat: the key is still in flight
       the cancelled call ends                            → `release` returns that seat, and the lane asks for it
"""

from collections.abc import Iterable, Sequence

from broker.core.planning.parcel import Parcel

Follower = tuple[Parcel, int]
"""A follower: its parcel, and the index of the inquiry in it."""


class FlightTable:
    """The inquiries of one institution now in flight, and who follows them."""

    __slots__ = ("_followers", "_in_flight")

    def __init__(self) -> None:
        self._in_flight: set[bytes] = set()
        self._followers: dict[bytes, list[Follower]] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def join(self, parcel: Parcel) -> Parcel | None:
        """Takes a parcel in. Returns what of it has to be asked, None if all of it is in flight already.

        The keys of one parcel are distinct.
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
        """Whether anybody still waits for something in the parcel: its own request, or a follower."""
        return parcel.waiter.open or any(
            seat.waiter.open for key in parcel.keys for seat, _ in self._followers.get(key, ())
        )

    def settle(self, keys: Sequence[bytes]) -> list[tuple[int, list[Follower]]]:
        """Ends flights that have their answers. Returns, by index into `keys`, the seats to answer as well."""
        self._in_flight.difference_update(keys)
        if not self._followers:
            return []
        return [(index, seats) for index, key in enumerate(keys) if (seats := self._followers.pop(key, None))]

    def release(self, keys: Iterable[bytes]) -> list[Parcel]:
        """Ends flights that were given up. Returns parcels of those still waited for: they have to be asked anew.

        Every returned parcel's keys are in flight again, with its waiter as the leader.
        """
        again: dict[Parcel, list[int]] = {}
        for key in keys:
            self._in_flight.discard(key)
            seats = [seat for seat in self._followers.pop(key, ()) if seat[0].waiter.open]
            if seats:
                (leader, index), *followers = seats
                self._in_flight.add(key)
                if followers:
                    self._followers[key] = followers
                again.setdefault(leader, []).append(index)
        return [leader.pick(sorted(indices)) for leader, indices in again.items()]
