"""The controls of one institution, in virtual time: what each result of a call does, and what they hold back."""

from collections.abc import Callable
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.control.breaker import State
from broker.core.control.pacing import Wanted
from broker.errors import (
    BadReplyError,
    BreakerOpenError,
    FailedError,
    InstitutionError,
    OverloadedError,
    RejectedError,
    UnansweredError,
    UnreachableError,
)
from broker.institutions.stub import Behaviour, StubInstitution, fails, holds, script, slow, stub_spec
from broker.lanes.controls import Controls
from broker.lanes.permits import Permit, Wants
from broker.model import Priority, Question, Reply
from tests.fakes import MANDATE, in_virtual_time, subject

pytestmark = in_virtual_time

OPENING = 10  # failures after which a breaker with no successes opens (BreakerSpec.minimum_calls)
COOL_DOWN = 5.0


def question(size: int = 1, *, attempt: int = 1) -> Question:
    return Question("call", "stub", attempt, [MANDATE], [0] * size, [subject(n) for n in range(size)])


def controls(random: Callable[[], float] = lambda: 0.5, **changes: Any) -> Controls:
    return Controls(stub_spec(**changes), random, idle_since=-inf)


async def call(own: Controls, behaviour: Behaviour, *, attempt: int = 1) -> Reply:
    return await own.call(StubInstitution(stub_spec(timeout=5.0), behaviour), question(attempt=attempt))


async def fail(own: Controls, error: InstitutionError, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            await call(own, fails(error))


DOWN = UnreachableError("down")


# Results.


@pytest.mark.parametrize(
    ("error", "opens", "limit"),
    [
        pytest.param(UnreachableError("x"), True, 8, id="unreachable"),
        pytest.param(FailedError("x"), True, 8, id="5xx"),
        pytest.param(FailedError("x", overload=True), True, 5, id="5xx that means overload"),
        pytest.param(BadReplyError("x"), True, 8, id="no reply to what was asked"),
        pytest.param(UnansweredError("x"), True, 5, id="no reply in time"),
        pytest.param(OverloadedError("x"), False, 5, id="429"),
        pytest.param(RejectedError("x"), False, 8, id="refused"),
    ],
)
async def test_what_a_failure_does(error: InstitutionError, opens: bool, limit: int) -> None:
    own = controls(concurrency=8)
    await fail(own, error, OPENING)
    assert (own.breaker is State.OPEN) == opens
    assert own.limit == limit, "all within one incident"
    assert own.failures == {error.reason: OPENING}


async def test_a_reply_in_time_is_returned() -> None:
    own = controls(timeout=5.0)
    assert (await call(own, slow(4.99, holds({})))).observed_at
    assert not own.failures


async def test_no_reply_in_time_is_given_up_exactly_then() -> None:
    own = controls(timeout=5.0)
    with pytest.raises(UnansweredError):
        await call(own, slow(inf, holds({})))
    assert trio.current_time() == 5.0
    assert own.failures == {"NO_REPLY": 1}


@pytest.mark.parametrize("error", [KeyError("name"), RuntimeError("x"), ExceptionGroup("x", [ValueError("y")])])
async def test_an_unforeseen_error_says_nothing_about_the_institution(error: Exception) -> None:
    own = controls()
    for _ in range(2 * OPENING):
        with pytest.raises(type(error)):
            await call(own, fails(error))
    assert own.breaker is State.CLOSED
    assert not own.failures


@pytest.mark.parametrize("size", [0, 2])
async def test_a_reply_of_another_size_is_no_reply(size: int) -> None:
    own = controls()

    async def misaligned(_: Question) -> Reply:
        return Reply(outcomes=b"\x02" * size, contents=[b"\x10\x02"] * size, observed_at=[1] * size)

    with pytest.raises(BadReplyError):
        await call(own, misaligned)
    assert own.failures == {"BAD_REPLY": 1}


# Breaker.


async def test_an_open_breaker_is_not_asked_through() -> None:
    own = controls()
    await fail(own, DOWN, OPENING)
    institution = StubInstitution(stub_spec())
    with pytest.raises(BreakerOpenError):
        await own.call(institution, question())
    assert institution.questions == []
    assert own.failures == {"UNREACHABLE": OPENING}, "not asking is no failure"


async def test_one_probe_decides_and_the_verdict_is_awaited() -> None:
    own = controls()
    await fail(own, DOWN, OPENING)
    await trio.sleep(COOL_DOWN)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, own, slow(2.0, holds({})))
        await wait_all_tasks_blocked()
        assert not own.admits, "one probe at a time"
        await own.wait_call_ended()
        assert trio.current_time() == COOL_DOWN + 2.0
    assert own.breaker is State.CLOSED


@pytest.mark.parametrize("error", [OverloadedError("x"), KeyError("x")])
async def test_a_probe_that_says_nothing_lets_the_next_one_try(error: Exception) -> None:
    own = controls()
    await fail(own, DOWN, OPENING)
    await trio.sleep(COOL_DOWN)
    with pytest.raises(type(error)):
        await call(own, fails(error))
    assert own.admits


async def test_a_cancelled_probe_lets_the_next_one_try() -> None:
    own = controls()
    await fail(own, DOWN, OPENING)
    await trio.sleep(COOL_DOWN)
    with trio.move_on_after(1):
        await call(own, slow(inf, holds({})))
    assert own.admits
    assert own.failures == {"UNREACHABLE": OPENING}


# Permits and the rate.


def wants(size: int, priority: Priority = Priority.BULK) -> Wants:
    return lambda _: Wanted(size, priority)


async def acquire(own: Controls, size: int = 1) -> Permit:
    """Acquires a permit, for the trouble of at most a tenth of a second."""
    with trio.fail_after(0.1):
        return await own.acquire(wants(size))


async def test_permits_are_as_many_as_the_limit() -> None:
    own = controls(concurrency=2)
    permits = [await acquire(own), await acquire(own)]
    with pytest.raises(trio.TooSlowError):
        await acquire(own)
    own.release(permits[0])
    await acquire(own)


async def test_the_limit_acts_on_permits_and_recovers() -> None:
    own = controls(concurrency=3)
    await fail(own, OverloadedError("x"))
    assert own.limit == 2
    for _ in range(2):
        await acquire(own)
    with pytest.raises(trio.TooSlowError):
        await acquire(own)
    for _ in range(2):
        await call(own, holds({}))
    await acquire(own)
    assert own.limit == 3


async def test_who_waits_for_a_permit_gets_it_when_the_limit_recovers() -> None:
    own = controls(concurrency=3)
    await fail(own, OverloadedError("x"))
    for _ in range(2):
        await acquire(own)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.acquire, wants(1))
        await wait_all_tasks_blocked()
        for _ in range(2):
            await call(own, holds({}))


async def test_after_the_burst_the_rate_holds() -> None:
    own = controls(rate=10, batch_size=5)
    await own.acquire(wants(10))
    assert trio.current_time() == 0
    await own.acquire(wants(5))
    assert trio.current_time() == pytest.approx(0.5)


async def test_a_full_batch_can_be_sent_whatever_the_rate() -> None:
    own = controls(rate=1, batch_size=50)
    await own.acquire(wants(50))
    assert trio.current_time() == 0


async def test_nothing_is_sent_before_a_pause_is_over() -> None:
    own = controls(rate=10, batch_size=1)
    await own.acquire(wants(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.acquire, wants(5))
        await wait_all_tasks_blocked()
        await fail(own, OverloadedError("x", retry_after=3.0))
    assert trio.current_time() == pytest.approx(3.5)


async def test_a_permit_acquired_again_is_free_meanwhile() -> None:
    own = controls(rate=10, batch_size=10, concurrency=1)
    permit = await own.acquire(wants(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.acquire_again, permit, 5, Priority.BULK)
        await wait_all_tasks_blocked()
        other = await own.acquire(wants(1, Priority.INTERACTIVE))
        assert trio.current_time() == pytest.approx(0.1)
        own.release(other)
    assert trio.current_time() == pytest.approx(0.6)
    with pytest.raises(trio.TooSlowError):
        await acquire(own)
    own.release(permit)
    own.release(permit)
    await own.acquire(wants(1))
    with pytest.raises(trio.TooSlowError):
        await acquire(own)


async def test_a_permit_that_was_not_acquired_again_is_free() -> None:
    own = controls(rate=10, batch_size=10, concurrency=1)
    permit = await own.acquire(wants(10))
    with trio.move_on_after(0.1):
        await own.acquire_again(permit, 5, Priority.BULK)
    own.release(permit)
    await own.acquire(wants(1))


# Retries.


@pytest.mark.parametrize(
    ("error", "attempt", "pause"),
    [
        pytest.param(DOWN, 1, 0.05, id="half of the first pause"),
        pytest.param(DOWN, 2, 0.1, id="the second is twice as long"),
        pytest.param(DOWN, 3, None, id="three sends are all"),
        pytest.param(RejectedError("x"), 1, None, id="a refusal stays one"),
        pytest.param(OverloadedError("x"), 1, 0.05, id="429 without a moment"),
        pytest.param(OverloadedError("x", retry_after=2.0), 1, 2.05, id="429 with one: jitter comes on top"),
        pytest.param(OverloadedError("x", retry_after=60.0), 1, None, id="429 with one too late"),
    ],
)
async def test_whether_and_when_to_repeat(error: InstitutionError, attempt: int, pause: float | None) -> None:
    own = controls()
    assert await own.may_repeat(error, attempt) == (pause is not None)
    assert trio.current_time() == pytest.approx(pause or 0.0)


@pytest.mark.parametrize("random", [0.0, 0.25, 0.999])
async def test_the_pause_is_spread_over_the_whole_range(random: float) -> None:
    await controls(lambda: random).may_repeat(DOWN, 1)
    assert trio.current_time() == pytest.approx(0.1 * random)


async def test_an_open_breaker_forbids_repeating() -> None:
    own = controls()
    await fail(own, DOWN, OPENING)
    assert not await own.may_repeat(DOWN, 1)


async def test_a_breaker_that_opens_during_the_pause_forbids_repeating() -> None:
    own = controls()
    verdicts: list[bool] = []

    async def repeat() -> None:
        verdicts.append(await own.may_repeat(DOWN, 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(repeat)
        await wait_all_tasks_blocked()
        await fail(own, DOWN, OPENING)
    assert verdicts == [False]


async def test_repeating_is_paid_from_a_budget() -> None:
    own = controls(lambda: 0.0)
    assert [await own.may_repeat(DOWN, 1) for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(5):
        await call(own, holds({}))
    assert await own.may_repeat(DOWN, 1), "five calls earn one more"


async def test_each_call_of_a_repetition_is_paid() -> None:
    own = controls(lambda: 0.0)
    assert [await own.may_repeat(DOWN, 1, calls=2) for _ in range(6)] == [True] * 5 + [False]


async def test_repeated_calls_earn_nothing() -> None:
    own = controls(lambda: 0.0)
    while await own.may_repeat(DOWN, 1):
        pass
    for _ in range(20):
        await call(own, holds({}), attempt=2)
    assert not await own.may_repeat(DOWN, 1)


async def test_halving_is_paid_from_a_budget_too() -> None:
    own = controls()
    bisections = 0
    while own.may_bisect():
        bisections += 1
    assert bisections == 32
    await call(own, script(holds({})))
    await call(own, script(holds({})))
    assert own.may_bisect()
