"""Each moment is charged to one step, and every step consists of existing functions."""

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from benchmarks.instrumented_worker import STEPS, StepClock


@pytest.fixture
def clock() -> Iterator[float]:
    return map(float, count())  # every look at it takes a second


def test_a_step_is_not_charged_for_a_step_within_it(clock: Iterator[float]) -> None:
    steps = StepClock(lambda: next(clock))
    inner = steps.wrap("inner", lambda: None)
    steps.wrap("outer", lambda: [inner(), inner()])()
    assert steps.seconds == {"outer": 3.0, "inner": 2.0}


def test_a_coroutine_is_charged_while_it_runs_and_not_while_it_waits(clock: Iterator[float]) -> None:
    steps = StepClock(lambda: next(clock))

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    async def two() -> list[int]:
        step = steps.wrap("step", work)
        return list(await asyncio.gather(step(2), step(2)))

    assert asyncio.run(two()) == [2, 2]
    assert steps.seconds == {"step": 6.0}  # three turns each


def test_an_error_and_a_cancellation_end_a_step(clock: Iterator[float]) -> None:
    steps = StepClock(lambda: next(clock))
    with pytest.raises(ZeroDivisionError):
        steps.wrap("step", lambda: 1 / 0)()

    async def cancelled() -> None:
        with pytest.raises(asyncio.CancelledError):
            await steps.wrap("step", asyncio.Event().wait)()

    async def main() -> None:
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(main())
    assert steps.seconds == {"step": 3.0}


def test_every_step_consists_of_existing_functions() -> None:
    for _, owner, names in STEPS:
        for name in names:
            assert callable(getattr(owner, name))
