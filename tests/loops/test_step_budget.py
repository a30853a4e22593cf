"""A step of the trio side does so much and no more; interactive work goes first; nobody waits for nothing."""

from collections import Counter

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from broker.loops.step_budget import STEP, StepBudget
from broker.model import Priority
from tests.fakes import in_virtual_time, run_in_virtual_time

pytestmark = in_virtual_time


class Steps(trio.abc.Instrument):
    """Numbers the steps of a trio run."""

    def __init__(self) -> None:
        self.number = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """See `trio.abc.Instrument`: once before each step."""
        self.number += 1


@given(costs=st.lists(st.floats(1, 2 * STEP), min_size=1, max_size=60), seed=st.integers(0, 9))
def test_a_step_holds_one_budget_and_what_the_last_spends(costs: list[float], seed: int) -> None:
    steps, spent = Steps(), Counter[int]()

    async def work(budget: StepBudget, cost: float, wait: int) -> None:
        for _ in range(wait):
            await trio.lowlevel.checkpoint()
        await budget.spend(cost)
        spent[steps.number] += int(cost)

    async def main() -> None:
        budget = StepBudget()
        async with trio.open_nursery() as nursery:
            for number, cost in enumerate(costs):
                nursery.start_soon(work, budget, cost, number * seed % 7)
        assert not len(budget)

    run_in_virtual_time(main, instruments=[steps])
    assert sum(spent.values()) == sum(map(int, costs)), "everybody gets a turn"
    assert max(spent.values()) <= STEP + max(costs)


async def test_who_finds_room_does_not_wait() -> None:
    budget = StepBudget()
    await wait_all_tasks_blocked()
    with pytest.raises(StopIteration):  # it ends without having waited for anything
        budget.spend(STEP / 2).send(None)


async def test_the_same_number_goes_on_in_each_step_however_many_wait() -> None:
    steps, budget, passed = Steps(), StepBudget(), Counter[int]()
    trio.lowlevel.add_instrument(steps)

    async def work() -> None:
        await budget.spend(STEP / 10)
        passed[steps.number] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(4_000):
            nursery.start_soon(work)
    assert max(passed.values()) == 10
    assert len(passed) <= 4_000 / 10 + 2, "no step is left out while somebody waits"


async def test_interactive_work_goes_ahead_and_bulk_work_can_join_it() -> None:
    budget, order = StepBudget(), list[str]()

    begun = set[str]()

    async def work(name: str, priority: Priority) -> None:
        begun.add(name)
        await budget.spend(STEP, priority, owner=name)
        order.append(name)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(work, f"bulk {number}", Priority.BULK)
        nursery.start_soon(work, "promoted", Priority.BULK)
        while len(begun) < 21:  # trio runs tasks in any order
            await trio.lowlevel.checkpoint()
        assert len(budget) >= 10
        nursery.start_soon(work, "interactive", Priority.INTERACTIVE)
        budget.promote("promoted")
        budget.promote("nobody")
    assert len(order) == 22
    assert order.index("promoted") < 14
    assert order.index("interactive") < 14


async def test_who_gives_up_is_passed_over() -> None:
    budget = StepBudget()
    async with trio.open_nursery() as nursery:
        await budget.spend(STEP)
        with trio.CancelScope() as scope:
            scope.cancel()
            await budget.spend(STEP)
        assert scope.cancelled_caught
        assert not len(budget)
        nursery.start_soon(budget.spend, STEP)
    assert not len(budget)
