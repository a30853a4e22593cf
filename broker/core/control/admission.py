"""Whether there is room for a request: permits, counted in lookups, held until its stream has ended.

Refusing at once, with a hint when to come back, is kinder than queueing: the caller knows where it stands, and what is
under way keeps its pace. Bulk work never takes the last part, so that somebody who waits gets in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from broker.errors import BusyError, DrainingError
from broker.model import Priority

_BULK_SHARE = 0.8  # of the permits; an auditor at a screen asks about one subject, bulk asks about thousands
_RETRY_AFTER = 1.0  # s; a batch of 10,000 misses takes a fraction of that at an institution's usual rate


@dataclass(frozen=True, slots=True)
class AdmissionStatistics:
    """The gate at one moment, and its totals since the start."""

    requests: int
    """Under way."""
    lookups: int
    """Under way."""
    limit: int
    """Lookups allowed under way."""
    refused: int
    """Requests."""


class Admission:
    """The gate. State: what is under way, and whether the worker is draining."""

    def __init__(self, limit: int) -> None:
        """`limit`: lookups under way at a time."""
        self._limit = limit
        self._requests = 0
        self._lookups = 0
        self._refused = 0
        self.draining = False
        """Set when the worker stops: nobody is admitted any more."""

    @contextmanager
    def admit(self, lookups: int, priority: Priority) -> Iterator[None]:
        """Holds permits for as long as the context lasts.

        Raises `BusyError` if there are too few, `DrainingError` if the worker is stopping.
        """
        if self.draining:
            msg = "this broker is stopping; connect to another one, or again in a moment"
            raise DrainingError(msg)
        room = self._limit if priority is Priority.INTERACTIVE else self._limit * _BULK_SHARE
        # A request larger than all the room there is gets in when nothing else is under way.
        if self._lookups and self._lookups + lookups > room:
            self._refused += 1
            msg = f"{self._lookups} lookups are under way, {int(room)} are allowed"
            raise BusyError(msg, _RETRY_AFTER)
        self._requests += 1
        self._lookups += lookups
        try:
            yield
        finally:
            self._requests -= 1
            self._lookups -= lookups

    def statistics(self) -> AdmissionStatistics:
        """The gate at this moment."""
        return AdmissionStatistics(self._requests, self._lookups, self._limit, self._refused)
