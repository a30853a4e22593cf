"""Bulk work passes the scheduler one step at a time; who asks little does not have to."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from broker.loops.fair_scheduler import SMALL_STEP, FairScheduler


def run(test: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await test

    asyncio.run(main())


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_steps_pass_in_order_each_in_a_turn_of_its_own() -> None:
    async def test() -> None:
        scheduler, passed = FairScheduler(), list[int]()

        async def step(number: int) -> None:
            await scheduler.wait_turn(SMALL_STEP + 1)
            passed.append(number)

        tasks = [asyncio.create_task(step(number)) for number in range(5)]
        lengths = []
        while len(passed) < len(tasks):
            await turns(1)
            lengths.append(len(passed))
        assert passed == [0, 1, 2, 3, 4]
        assert all(after - before <= 1 for before, after in pairwise(lengths))

    run(test())


def test_between_two_steps_others_have_several_turns() -> None:
    async def test() -> None:
        scheduler, events = FairScheduler(), list[str]()

        async def step() -> None:
            await scheduler.wait_turn(SMALL_STEP + 1)
            events.append("step")

        async def somebody_else() -> None:
            while events.count("step") < 3:
                events.append("turn")
                await asyncio.sleep(0)

        await asyncio.gather(step(), step(), step(), somebody_else())
        first, second, third = (place for place, event in enumerate(events) if event == "step")
        assert second - first > 3
        assert third - second > 3

    run(test())


def test_who_asks_little_does_not_wait() -> None:
    async def test() -> None:
        scheduler = FairScheduler()
        bulk = asyncio.create_task(scheduler.wait_turn(SMALL_STEP + 1))
        await asyncio.sleep(0)
        with pytest.raises(StopIteration):  # it ends without having waited for anything
            scheduler.wait_turn(SMALL_STEP).send(None)
        assert not bulk.done()
        await bulk

    run(test())


def test_who_gives_up_is_passed_over() -> None:
    async def test() -> None:
        scheduler = FairScheduler()
        waiting = [asyncio.create_task(scheduler.wait_turn(SMALL_STEP + 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        await turns(2)
        assert waiting[2].done()

    run(test())


def test_it_can_be_used_again_once_it_was_empty() -> None:
    async def test() -> None:
        scheduler = FairScheduler()
        for _ in range(2):
            step = asyncio.create_task(scheduler.wait_turn(SMALL_STEP + 1))
            await turns(10)
            assert step.done()

    run(test())
