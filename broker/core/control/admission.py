"""Whether there is room for a request. What a request holds is counted from its arrival until its stream has ended.

Two amounts are counted, because either can fill the memory by itself: the bytes of requests' bodies, and inquiries in
flight (lookups times institutions asked). The rules are the same for both:

* Requests are refused at once rather than queued: the caller knows where it stands, and what is in flight keeps its
  pace.
* Bulk requests never hold more than a part of the limit, so that somebody who waits at a screen gets in.
* One request counts for no more than that part, however large it is: else a request about thousands of institutions
  would have to wait until nothing at all is in flight.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

from broker.errors import BusyError, DrainingError
from broker.model import Priority

_BULK_SHARE = 0.8  # of a limit; an auditor at a screen asks about one subject, bulk asks about thousands
_RETRY_AFTER = 1.0  # s; a batch of 10,000 misses takes a fraction of that at an institution's usual rate


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """The gate at one moment, and its totals since the start."""

    requests_in_flight: int
    """Admitted, their streams not ended."""
    inquiries_in_flight: int
    """As counted here: one request for no more than the part of bulk."""
    inquiries_in_flight_limit: int
    request_bytes_in_flight: int
    """Of their bodies, as counted here."""
    request_bytes_in_flight_limit: int
    refused: Mapping[str, int]
    """Requests refused, by reason."""


class _Room:
    """One amount that is limited. State: how much of it requests hold, by priority, and how many were refused."""

    def __init__(self, unit: str, limit: int) -> None:
        self.limit = limit
        self.refused = 0
        self._unit = unit
        self._bulk_limit = ceil(limit * _BULK_SHARE)
        self._held = dict.fromkeys(Priority, 0)

    @property
    def held(self) -> int:
        return sum(self._held.values())

    def take(self, amount: int, priority: Priority) -> int:
        """Returns what the amount counts for, which is to be given back. Raises `BusyError` if there is no room."""
        counted = min(amount, self._bulk_limit)
        if priority is Priority.BULK:
            self._check(self._held[priority] + counted, self._bulk_limit, "bulk requests")
        self._check(self.held + counted, self.limit, "requests")
        self._held[priority] += counted
        return counted

    def _check(self, wanted: int, limit: int, who: str) -> None:
        if wanted > limit:
            self.refused += 1
            msg = f"{who} in flight may hold {limit} {self._unit}, and would hold {wanted} with this one"
            raise BusyError(msg, _RETRY_AFTER)

    def refuse_if_full(self) -> None:
        """Raises `BusyError` if even the smallest request would find no room."""
        self._check(self.held + 1, self.limit, "requests")

    def give_back(self, counted: int, priority: Priority) -> None:
        self._held[priority] -= counted


class Holding:
    """What one request holds: the bytes of its body, and once it has been read, inquiries."""

    def __init__(self, inquiries: _Room, request_bytes: _Room) -> None:
        self._inquiries_room = inquiries
        self._bytes_room = request_bytes
        self._inquiries = 0
        self._bytes = 0
        self._priority = Priority.INTERACTIVE  # until the request has been read

    def take_bytes(self, size: int) -> None:
        """Holds the bytes of a body. Raises `BusyError` if there is no room."""
        self._bytes = self._bytes_room.take(size, self._priority)

    def take_inquiries(self, count: int, priority: Priority) -> None:
        """Holds inquiries, and its bytes as a request of this priority. Raises `BusyError` if there is no room."""
        size = self._bytes
        self.give_back()
        self._priority = priority
        self.take_bytes(size)
        self._inquiries = self._inquiries_room.take(count, priority)

    def keep_inquiries(self, count: int) -> None:
        """Gives back what is held beyond so many."""
        kept = min(count, self._inquiries)
        self._inquiries_room.give_back(self._inquiries - kept, self._priority)
        self._inquiries = kept

    def give_back(self) -> None:
        """Gives everything back."""
        self._bytes_room.give_back(self._bytes, self._priority)
        self._inquiries_room.give_back(self._inquiries, self._priority)
        self._bytes = self._inquiries = 0


class Admission:
    """The gate of one worker. State: what requests hold, how many were refused, whether the worker is draining."""

    def __init__(self, *, max_inquiries: int, max_request_bytes: int) -> None:
        self._inquiries = _Room("inquiries", max_inquiries)
        self._bytes = _Room("bytes", max_request_bytes)
        self._requests = 0
        self._refused_draining = 0
        self.draining = False
        """Set when the worker stops: nobody is admitted any more."""

    @contextmanager
    def enter(self, size: int) -> Iterator[Holding]:
        """What is held for a request whose body has `size` bytes; what it holds is given back when the context ends.

        Raises `BusyError` if there is no room for the body, or for any request; `DrainingError` if the worker is
        stopping.
        """
        if self.draining:
            self._refused_draining += 1
            msg = "this broker is stopping; connect to another one, or again in a moment"
            raise DrainingError(msg)
        self._inquiries.refuse_if_full()
        holding = Holding(self._inquiries, self._bytes)
        holding.take_bytes(size)
        self._requests += 1
        try:
            yield holding
        finally:
            self._requests -= 1
            holding.give_back()

    def statistics(self) -> AdmissionStatistics:
        """The gate at this moment."""
        return AdmissionStatistics(
            requests_in_flight=self._requests,
            inquiries_in_flight=self._inquiries.held,
            inquiries_in_flight_limit=self._inquiries.limit,
            request_bytes_in_flight=self._bytes.held,
            request_bytes_in_flight_limit=self._bytes.limit,
            refused={
                "inquiries": self._inquiries.refused,
                "bytes": self._bytes.refused,
                "draining": self._refused_draining,
            },
        )
