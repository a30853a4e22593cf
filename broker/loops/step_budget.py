"""How long a step of the trio side may take: the one place that knows it.

trio runs all tasks that are ready in one step of the host loop (`bridge`), and whoever else uses that loop waits for
its end. With four institutions few tasks are ready at a time; with 4,000, one request can wake as many. So a task says
what it is about to do costs, and waits for a later step if this one is full:

    step   budget   lane 1 spends 300, lane 2 spends 300, ...    until nothing is left
           the others wait, interactive work in front
    step   budget   the next of those who wait go on, then those who come

Costs are estimates, not measurements, so that what happens does not depend on the machine.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import trio

from broker.model import Priority

STEP = 2_000.0
"""Microseconds that tasks may spend in a step, and what the last of them spends beyond.

The goal for the longest step is 10 ms: there is room for what is not counted, and for estimates that are too low.
"""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A task that waits for a later step."""

    task: trio.lowlevel.Task
    cost: float
    priority: Priority


class StepBudget(trio.abc.Instrument):
    """Shared by all tasks of the trio side. Create it inside trio.

    As an instrument of trio it is told when a step begins; a task for that would make steps of its own.

    State: what was spent in the step in progress, and who waits for a later one, in order of arrival.
    """

    def __init__(self) -> None:
        self._spent = 0.0
        self._waiting: dict[Priority, dict[Hashable, _Waiting]] = {priority: {} for priority in Priority}
        self._is_parked = False
        self._ready_task = trio.lowlevel.spawn_system_task(self._stay_ready, name="step budget")
        trio.lowlevel.add_instrument(self)

    def __len__(self) -> int:
        """How many tasks wait."""
        return sum(map(len, self._waiting.values()))

    async def spend(self, cost: float, priority: Priority = Priority.BULK, *, owner: Hashable = None) -> None:
        """Waits until a step has room for work of so many microseconds: not at all, if the one in progress has.

        It has room as long as anything is left, so that work that costs more than a step can be done as well.
        `owner`: the name by which `promote` can find whoever waits; the task itself if there is none.
        """
        if self._has_room(priority):
            self._spent += cost
            return
        task = trio.lowlevel.current_task()
        name = task if owner is None else owner
        waiting = _Waiting(task, cost, priority)
        self._waiting[priority][name] = waiting
        if self._is_parked:
            self._is_parked = False
            trio.lowlevel.reschedule(self._ready_task)

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._waiting[waiting.priority][name]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def promote(self, owner: Hashable) -> None:
        """Lets a task that waits as bulk work go ahead of other bulk work. Does nothing if there is none."""
        waiting = self._waiting[Priority.BULK].pop(owner, None)
        if waiting is not None:
            waiting.priority = Priority.INTERACTIVE
            self._waiting[Priority.INTERACTIVE][owner] = waiting

    def _has_room(self, priority: Priority) -> bool:
        return self._spent < STEP and not any(self._waiting[each] for each in Priority if each <= priority)

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - part of the interface
        """See `trio.abc.Instrument`: a step begins, with a new budget."""
        self._spent = 0.0
        for queue in self._waiting.values():
            while queue and self._spent < STEP:
                waiting = queue.pop(next(iter(queue)))
                self._spent += waiting.cost
                trio.lowlevel.reschedule(waiting.task)

    async def _stay_ready(self) -> None:
        """Is ready as long as somebody waits, so that trio does not wait for anything else before the next step."""
        while True:
            if len(self):
                await trio.lowlevel.checkpoint()
            else:
                self._is_parked = True
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
