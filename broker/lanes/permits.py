"""Who calls an institution next, and when: as soon as both a permit for one more call is free, and the rate allows it.

Rules

1. Nothing is set aside for those who wait: permit and tokens are taken together, at the moment of sending. So a bulk
   batch that has to wait for the rate keeps neither from an interactive one.
2. Interactive work goes first. Within a priority, first come, first served.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import trio

from broker.core.control.limit import AdaptiveLimit
from broker.core.control.pacing import Wanted
from broker.core.control.token_bucket import TokenBucket

Wants = Callable[[int], Wanted]
"""What somebody would send, given how many inquiries may be sent at once. Asked again whenever something changes."""


@dataclass(slots=True, eq=False)
class Permit:
    """The right to one call at a time."""

    size: int = 0
    """Inquiries that were paid for when it was last acquired."""


class CallPermits:
    """Gives out permits for calls to one institution. Create it inside trio.

    State: the permits that are held, and those who wait, in order of arrival.
    """

    def __init__(self, limit: AdaptiveLimit, bucket: TokenBucket) -> None:
        self._limit = limit
        self._bucket = bucket
        self._held: set[Permit] = set()
        self._waiting: dict[Permit, Wants] = {}
        self._changed = trio.Event()

    async def acquire(self, permit: Permit, wants: Wants) -> None:
        """Waits until what is wanted may be sent, and pays for it: `permit.size` inquiries, at least one."""
        self._waiting[permit] = wants
        try:
            await trio.lowlevel.checkpoint()
            while (due := self._due(permit)) > trio.current_time():
                with trio.move_on_at(due):
                    await self._changed.wait()
            now = trio.current_time()
            permit.size = self._wanted(wants).size
            self._bucket.take(permit.size, now)
            self._held.add(permit)
        finally:
            del self._waiting[permit]
            self.reconsider()

    def release(self, permit: Permit) -> None:
        """The call has ended. Does nothing if the permit is not held."""
        self._held.discard(permit)
        self.reconsider()

    def reconsider(self) -> None:
        """To be called when somebody who waits may want something else, or the limit has changed."""
        if self._waiting:
            self._changed.set()
            self._changed = trio.Event()

    def _due(self, permit: Permit) -> float:
        """When to look again, if nothing changes before: the moment has come if it is not in the future."""
        if len(self._held) >= self._limit.limit or permit is not self._first():
            return inf
        return self._bucket.due(self._wanted(self._waiting[permit]).size)

    def _first(self) -> Permit | None:
        """Who is next, of those who want anything."""
        first, best = None, inf
        for permit, wants in self._waiting.items():
            size, priority = self._wanted(wants)
            if size and priority < best:
                first, best = permit, priority
        return first

    def _wanted(self, wants: Wants) -> Wanted:
        return wants(int(self._bucket.tokens(trio.current_time())))
