"""Who gets the next permit, and when, in virtual time."""

from collections.abc import Callable, Sequence
from math import inf

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.control.limit import AdaptiveLimit
from broker.core.control.pacing import Wanted
from broker.core.control.token_bucket import TokenBucket
from broker.lanes.permits import CallPermits, Permit
from broker.model import Priority
from tests.fakes import in_virtual_time

pytestmark = in_virtual_time

BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE
Call = tuple[str, Callable[[], Wanted]]


def fixed(name: str, size: int, priority: Priority = BULK) -> Call:
    return name, lambda: Wanted(size, priority)


def made(*, rate: float = 10, burst: float = 10, limit: int = 5) -> CallPermits:
    return CallPermits(AdaptiveLimit(limit), TokenBucket(rate, burst, -inf))


async def spend(permits: CallPermits, size: int) -> None:
    """Sends something, so that tokens are missing and no permit is."""
    permit = Permit()
    await permits.acquire(permit, lambda _: Wanted(size, INTERACTIVE))
    permits.release(permit)


async def go(permits: CallPermits, calls: Sequence[Call], *, hold: float = 0.0) -> list[tuple[str, float]]:
    """Lets calls wait, in this order. Returns them in the order in which they went, with the moment."""
    went: list[tuple[str, float]] = []

    async def one(name: str, wants: Callable[[], Wanted]) -> None:
        permit = Permit()
        await permits.acquire(permit, lambda _: wants())
        went.append((name, round(trio.current_time(), 6)))
        await trio.sleep(hold)
        permits.release(permit)

    async with trio.open_nursery() as nursery:
        for name, wants in calls:
            nursery.start_soon(one, name, wants)
            await wait_all_tasks_blocked()
    return went


async def test_within_a_priority_whoever_came_first_goes_first() -> None:
    permits = made()
    await spend(permits, 10)
    assert await go(permits, [fixed("large", 10), fixed("small", 1)]) == [("large", 1.0), ("small", 1.1)]


async def test_interactive_work_goes_first_and_waits_for_its_own_tokens_only() -> None:
    permits = made()
    await spend(permits, 10)
    calls = [fixed("bulk", 10), fixed("first", 1, INTERACTIVE), fixed("second", 2, INTERACTIVE)]
    assert await go(permits, calls) == [("first", 0.1), ("second", 0.3), ("bulk", 1.3)]


async def test_interactive_work_goes_first_when_a_permit_is_missing_too() -> None:
    permits = made(limit=1)
    calls = [fixed("held", 1), fixed("bulk", 1), fixed("officer", 1, INTERACTIVE)]
    assert await go(permits, calls, hold=1.0) == [("held", 0.0), ("officer", 1.0), ("bulk", 2.0)]


async def test_who_wants_nothing_holds_up_nobody() -> None:
    permits = made()
    wanted = Wanted(0, INTERACTIVE)
    async with trio.open_nursery() as nursery:
        went: list[list[tuple[str, float]]] = []

        async def wait() -> None:
            went.append(await go(permits, [("idle", lambda: wanted)]))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert await go(permits, [fixed("bulk", 1)]) == [("bulk", 0.0)]
        await trio.sleep(1)
        wanted = Wanted(1, BULK)
        permits.reconsider()
    assert went == [[("idle", 1.0)]]


async def test_who_wants_something_more_urgent_meanwhile_goes_first() -> None:
    permits = made()
    await spend(permits, 10)
    wanted = Wanted(10, BULK)
    went: list[tuple[str, float]] = []

    async def both() -> None:
        went.extend(await go(permits, [fixed("bulk", 10), ("lane", lambda: wanted)]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(both)
        await trio.sleep(0.5)
        wanted = Wanted(3, INTERACTIVE)
        permits.reconsider()
    assert went == [("lane", 0.5), ("bulk", 1.3)]


async def test_what_may_be_sent_at_once_is_told() -> None:
    permits = made()
    told: list[int] = []

    def wants(at_once: int) -> Wanted:
        told.append(at_once)
        return Wanted(4, BULK)

    for _ in range(2):
        await permits.acquire(Permit(), wants)
    assert (told[0], told[-1]) == (10, 6)


async def test_who_leaves_while_waiting_holds_up_nobody_and_takes_nothing() -> None:
    permits = made()
    await spend(permits, 10)
    with trio.move_on_after(0.5):
        await permits.acquire(Permit(), lambda _: Wanted(10, INTERACTIVE))
    assert await go(permits, [fixed("next", 5)]) == [("next", 0.5)]


async def test_a_permit_released_twice_is_released_once() -> None:
    permits = made(limit=1)
    held = Permit()
    await permits.acquire(held, lambda _: Wanted(1, BULK))
    for _ in range(2):
        permits.release(held)
    await permits.acquire(Permit(), lambda _: Wanted(1, BULK))
    with pytest.raises(trio.TooSlowError), trio.fail_after(1):
        await permits.acquire(Permit(), lambda _: Wanted(1, BULK))
