"""Bulk work passes one step at a time, and the loop has a few turns for everybody else between two steps.

A request of thousands of lookups is milliseconds of work in each of its steps, and a loop runs all that is ready before
it looks up again. Without a scheduler, somebody who asks about one debtor would wait, at each of the turns that takes,
for every step of bulk work that happens to be ready; with it, for one step in a few turns.
"""

import asyncio
from collections import deque

SMALL_STEP = 100
"""Lookups of a step that need not be scheduled: a tenth of what a step of bulk work is about."""


# Turns between two steps: a request needs about five to its handler and some more from there to its reply, and an empty
# turn takes next to nothing. When it was tried, single questions waited longer with 4, and no less with 30.
_TURNS = 12


class FairScheduler:
    """The way into the loop for steps of bulk work. Asyncio only.

    State: who waits, in order of arrival, and whether somebody is to be let in.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def wait_turn(self, size: int) -> None:
        """Waits until a step of work on so many lookups may begin: not at all, if they are few."""
        if size <= SMALL_STEP:
            return
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._let_in)
        await mine

    def _let_in(self, turns: int = 0) -> None:
        """Lets the next one in after so many turns, and comes back after its step."""
        if turns:
            asyncio.get_running_loop().call_soon(self._let_in, turns - 1)
            return
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():  # else its request has ended meanwhile
                following.set_result(None)
                asyncio.get_running_loop().call_soon(self._let_in, _TURNS)
                return
        self._turning = False
