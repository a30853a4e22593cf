"""The account charges each moment to one step, and knows every step there is."""

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from benchmarks.timed_worker import STEPS, Account


@pytest.fixture
def clock() -> Iterator[float]:
    return map(float, count())  # every look at it takes a second


def test_a_step_is_not_charged_what_another_within_it_takes(clock: Iterator[float]) -> None:
    account = Account(lambda: next(clock))
    inner = account.wrap("inner", lambda: None)
    account.wrap("outer", lambda: [inner(), inner()])()
    assert account.seconds == {"outer": 3.0, "inner": 2.0}


def test_a_coroutine_is_charged_its_turns_and_not_its_waits(clock: Iterator[float]) -> None:
    account = Account(lambda: next(clock))

    async def work(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    async def two() -> list[int]:
        step = account.wrap("step", work)
        return list(await asyncio.gather(step(2), step(2)))

    assert asyncio.run(two()) == [2, 2]
    assert account.seconds == {"step": 6.0}  # three turns each


def test_what_ends_with_an_error_or_is_cancelled_is_charged_too(clock: Iterator[float]) -> None:
    account = Account(lambda: next(clock))
    with pytest.raises(ZeroDivisionError):
        account.wrap("step", lambda: 1 / 0)()

    async def cancelled() -> None:
        with pytest.raises(asyncio.CancelledError):
            await account.wrap("step", asyncio.Event().wait)()

    async def main() -> None:
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(main())
    assert account.seconds == {"step": 3.0}


def test_every_step_is_still_made_of_functions_there_are() -> None:
    for _, owner, names in STEPS:
        for name in names:
            assert callable(getattr(owner, name))
