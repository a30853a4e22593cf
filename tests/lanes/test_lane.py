"""A lane, in virtual time: what it sends when, and what everybody gets who asked."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.planning.backlog import Backlog
from broker.core.planning.flight import FlightTable
from broker.core.planning.freshness import Freshness
from broker.core.wire import record
from broker.errors import (
    OverloadedError,
    RejectedError,
)
from broker.institutions.stub import (
    StubInstitution,
    fails,
    holds,
    says,
    script,
    slow,
    stub_spec,
)
from broker.lanes.call import Call
from broker.lanes.controls import Controls
from broker.lanes.settlement import Settlement
from broker.model import Outcome, Priority, Source
from broker.store.base import Statements
from broker.store.memory import MemoryStore
from tests.fakes import MANDATE, NOW, Recorder, in_virtual_time, key, numbers, open_lane, parcel, submit

pytestmark = in_virtual_time

NOTHING = holds({})


def sizes(institution: StubInstitution) -> list[int]:
    return [len(question.subjects) for question in institution.questions]


# When what is sent.


async def test_the_first_goes_at_once_and_the_rest_is_gathered_while_the_slot_is_busy() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [0]))
        await trio.sleep(0.1)
        for number in range(1, 6):
            submit(lane, parcel(waiter, [number]))
            await trio.sleep(0.1)
        await waiter.answered()
    assert sizes(institution) == [1, 5]
    assert waiter.moments == [1.0, *[2.0] * 5]


async def test_no_batch_is_larger_than_the_institution_takes() -> None:
    institution = StubInstitution(stub_spec(batch_size=10), slow(1.0, NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(25)))
        await waiter.answered()
    assert sizes(institution) == [10, 10, 5]
    assert trio.current_time() == 1.0, "all at the same time"


async def test_parcels_of_several_requests_share_a_call_and_keep_their_mandates() -> None:
    institution = StubInstitution(stub_spec())
    other = replace(MANDATE, officer="another officer")
    waiters = [Recorder(), Recorder(), Recorder()]
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiters[0], [1, 2]))
        submit(lane, parcel(waiters[1], [3], mandate=other))
        submit(lane, parcel(waiters[2], [4]))
        for waiter in waiters:
            await waiter.answered()
    (question,) = institution.questions
    assert [question.mandates[index] for index in question.mandate_of] == [MANDATE, MANDATE, other, MANDATE]
    assert len(question.mandates) == 2
    assert numbers(question) == [1, 2, 3, 4]


async def test_no_more_calls_at_a_time_than_allowed() -> None:
    institution = StubInstitution(stub_spec(batch_size=1, concurrency=3), slow(1.0, NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(10)))
        await wait_all_tasks_blocked()
        assert lane.statistics().calls == 3
        await waiter.answered()
    assert institution.busiest == 3
    assert trio.current_time() == 4.0


async def test_an_overloaded_institution_is_given_fewer_calls_and_more_again() -> None:
    overloaded = OverloadedError("too many")
    institution = StubInstitution(
        stub_spec(batch_size=1, concurrency=10), script(fails(overloaded), slow(1.0, NOTHING))
    )
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [0]))
        await wait_all_tasks_blocked()
        assert lane.statistics().limit == 7
        submit(lane, parcel(waiter, range(1, 60)))
        await trio.sleep(0.01)
        assert institution.busy == 7, "the call to be repeated takes no slot during its pause"
        await waiter.answered()
        assert lane.statistics().limit == 10


async def test_the_rate_is_kept_even_by_what_comes_in_while_waiting() -> None:
    institution = StubInstitution(stub_spec(rate=10, batch_size=10))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(10)))
        await trio.sleep(0.01)
        for number in range(10, 40):
            submit(lane, parcel(waiter, [number]))
            await trio.sleep(0.01)
        await waiter.answered()
    for began in waiter.moments:
        within = sum(1 for moment in waiter.moments if began <= moment < began + 1)
        assert within <= 20, "burst and rate of one second"
    assert trio.current_time() == pytest.approx(3.0, abs=0.05)


async def test_interactive_work_goes_first() -> None:
    institution = StubInstitution(stub_spec(concurrency=1, batch_size=2), slow(1.0, NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(6), priority=Priority.BULK))
        await wait_all_tasks_blocked()
        submit(lane, parcel(waiter, [10, 11, 12]))
        await waiter.answered()
    assert list(map(numbers, institution.questions)) == [[0, 1], [10, 11], [12, 2], [3, 4], [5]]


# What comes back.


async def test_answers_say_what_the_institution_said() -> None:
    said = {0: Outcome.FOUND, 1: Outcome.NOT_FOUND, 2: Outcome.REFUSED, 3: Outcome.INVALID}
    institution = StubInstitution(stub_spec("bank"), says(lambda subject: said[int(subject.number)]))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(4), column=3))
        assert await waiter.answered() == said
        assert lane.statistics().asked == 4
    assert waiter.sources() == {Source.INSTITUTION}
    assert {one.answer.institution_id for one in waiter.delivered} == {"bank"}
    assert {one.column for one in waiter.delivered} == {3}


async def test_only_facts_are_stored_and_for_their_lifetime() -> None:
    said = {0: Outcome.FOUND, 1: Outcome.NOT_FOUND, 2: Outcome.REFUSED, 3: Outcome.UNAVAILABLE}
    spec = stub_spec(found_ttl=100.0, not_found_ttl=50.0)
    institution = StubInstitution(spec, says(lambda subject: said[int(subject.number)], observed_at=NOW - 10))
    store, waiter = MemoryStore(lambda: NOW), Recorder()
    async with open_lane(institution, store) as lane:
        submit(lane, parcel(waiter, range(4)))
        await waiter.answered()
    found, not_found, *others = store.get_many([key(number) for number in range(4)])
    assert others == [None, None]
    for packed, expires in ((found, NOW + 90), (not_found, NOW + 40)):
        assert packed is not None
        (entry,) = record.unpack(packed)
        assert (entry.observed, entry.expires) == (NOW - 10, expires)
        assert entry.segment[-1] == Source.CACHE


async def test_an_answer_of_the_future_is_kept_no_longer_than_one_of_now_and_not_served() -> None:
    """The clock was set back between the reply and its settlement."""
    institution = StubInstitution(
        stub_spec(not_found_ttl=50.0), says(lambda _: Outcome.NOT_FOUND, observed_at=NOW + 99)
    )
    store, waiter = MemoryStore(lambda: NOW), Recorder()
    async with open_lane(institution, store) as lane:
        submit(lane, parcel(waiter, [0]))
        await waiter.answered()
    (packed,) = store.get_many([key(0)])
    assert packed is not None
    (entry,) = record.unpack(packed)
    assert entry.expires == NOW + 50
    assert not any(Freshness.at(now, None).accepts(entry.observed, entry.expires) for now in (NOW, NOW + 49, NOW + 99))


async def test_an_answer_is_in_the_store_before_its_flight_ends() -> None:
    institution = StubInstitution(stub_spec())
    waiter = Recorder()
    async with open_lane(institution, store := WatchedStore()) as lane:
        store.watch = lambda: store.in_flight.append(lane.statistics().in_flight)
        submit(lane, parcel(waiter, [0, 1]))
        await waiter.answered()
    assert store.in_flight == [2]


class WatchedStore(MemoryStore):
    """A store that looks around when something is put into it."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.in_flight: list[int] = []
        self.watch: Callable[[], None] = lambda: None

    def put_many(self, statements: Statements) -> None:
        self.watch()
        super().put_many(statements)


# Single flight.


async def test_what_is_being_asked_is_not_asked_again() -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, NOTHING))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1, 2]))
        await trio.sleep(0.5)
        submit(lane, parcel(second, [2, 3]))
        await first.answered()
        await second.answered()
        assert lane.statistics().shared == 1
        assert lane.statistics().asked == 3
    assert list(map(numbers, institution.questions)) == [[1, 2], [3]]
    assert first.sources() == {Source.INSTITUTION}
    assert {one.row: one.source for one in second.delivered} == {2: Source.FLIGHT, 3: Source.INSTITUTION}
    assert second.moments == [1.0, 1.5]


async def test_what_is_queued_is_not_queued_again() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    waiters = [Recorder() for _ in range(4)]
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiters[0], [0]))
        await wait_all_tasks_blocked()
        for waiter in waiters[1:]:
            submit(lane, parcel(waiter, [1]))
        assert lane.statistics().queued == 1
        for waiter in waiters:
            await waiter.answered()
    assert sizes(institution) == [1, 1]


async def test_followers_share_a_failure_too_as_the_brokers_word() -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, fails(RejectedError("no"))))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(second, [1]))
        assert await first.answered() == await second.answered() == {1: Outcome.UNAVAILABLE}
    assert first.sources() == second.sources() == {Source.BROKER}


@pytest.mark.parametrize(
    ("max_age", "calls"),
    [(None, [[1, 2]]), (0.6, [[1, 2]]), (0.5, [[1, 2], [1]]), (0.0, [[1, 2], [1]])],
    ids=["any age", "the call is younger", "the call is as old", "age zero"],
)
async def test_a_call_is_joined_only_if_it_was_sent_within_the_maximum_age(
    max_age: float | None, calls: list[list[int]]
) -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, NOTHING))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1, 2]))
        await trio.sleep(0.5)
        after = -math.inf if max_age is None else trio.current_time() - max_age
        submit(lane, parcel(second, [1]), joins_calls_after=after)
        await first.answered()
        await second.answered()
    assert list(map(numbers, institution.questions)) == calls
    assert second.sources() == {Source.FLIGHT if len(calls) == 1 else Source.INSTITUTION}
    assert second.moments == [float(len(calls))]


async def test_what_is_queued_is_joined_at_any_maximum_age() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    busy, first, second = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(busy, [0]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(first, [1]))
        await trio.sleep(0.5)
        submit(lane, parcel(second, [1]), joins_calls_after=trio.current_time())
        await second.answered()
    assert list(map(numbers, institution.questions)) == [[0], [1]]
    assert second.sources() == {Source.FLIGHT}


async def test_who_asks_for_the_present_is_answered_though_the_call_before_fails() -> None:
    institution = StubInstitution(stub_spec(), script(slow(1.0, fails(RejectedError("no"))), slow(1.0, NOTHING)))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1]))
        await trio.sleep(0.5)
        submit(lane, parcel(second, [1]), joins_calls_after=trio.current_time())
        assert await first.answered() == {1: Outcome.UNAVAILABLE}
        assert await second.answered() == {1: Outcome.NOT_FOUND}


async def test_a_call_that_only_a_successor_could_want_is_given_up() -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, NOTHING))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1]))
        await trio.sleep(0.5)
        submit(lane, parcel(second, [1]), joins_calls_after=trio.current_time())
        first.open = False
        lane.forsake()
        await second.answered()
        assert second.moments == [1.5], "asked at once"


async def test_after_the_answer_the_next_asker_asks_anew() -> None:
    institution = StubInstitution(stub_spec())
    async with open_lane(institution) as lane:
        for _ in range(2):
            waiter = Recorder()
            submit(lane, parcel(waiter, [1]))
            await waiter.answered()
    assert sizes(institution) == [1, 1]


# Trouble of the broker's own.


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("张三"), ExceptionGroup("x", [ValueError("y")])])
async def test_an_internal_error_is_an_answer_and_the_lane_goes_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    institution = StubInstitution(stub_spec(), script(fails(error), NOTHING))
    hit, next_one = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(hit, [1, 2]))
        assert await hit.answered() == dict.fromkeys((1, 2), Outcome.UNAVAILABLE)
        submit(lane, parcel(next_one, [1]))
        assert await next_one.answered() == {1: Outcome.NOT_FOUND}
    assert hit.reasons() == {"INTERNAL"}
    assert "张三" not in caplog.text
    assert type(error).__name__ in caplog.text


async def test_an_internal_error_leaves_standing_what_was_answered() -> None:
    odd = says(lambda subject: Outcome.UNAVAILABLE if int(subject.number) % 2 else Outcome.NOT_FOUND)
    institution = StubInstitution(stub_spec(), script(odd, fails(RuntimeError("x"))))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [0, 1]))
        assert await waiter.answered() == {0: Outcome.NOT_FOUND, 1: Outcome.UNAVAILABLE}
    assert waiter.reasons() == {"", "INTERNAL"}


async def test_a_store_that_fails_does_not_end_the_lane() -> None:
    def fail() -> None:
        raise RuntimeError

    store, waiter = WatchedStore(), Recorder()
    store.watch = fail
    async with open_lane(StubInstitution(stub_spec()), store) as lane:
        submit(lane, parcel(waiter, [1]))
        assert await waiter.answered() == {1: Outcome.UNAVAILABLE}


class Clumsy(Recorder):
    """A waiter that fails when it is told something."""

    def deliver(self, *_: object, **__: object) -> None:
        raise RuntimeError


async def test_a_waiter_that_fails_keeps_nothing_from_the_others() -> None:
    institution = StubInstitution(stub_spec())
    before, after, next_one = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        for number, waiter in enumerate((before, Clumsy(), after)):
            submit(lane, parcel(waiter, [number]))
        await before.answered()
        await after.answered()
        submit(lane, parcel(next_one, [1]))
        await next_one.answered()
    assert sizes(institution) == [3, 1]


def fails_once(monkeypatch: pytest.MonkeyPatch, owner: type, step: str) -> Callable[[], bool]:
    """Lets a method raise the first time it is called. Returns what tells whether it has."""
    original = getattr(owner, step)
    has_failed = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal has_failed
        if not has_failed:
            has_failed = True
            raise KeyError("张三")
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, step, call)
    return lambda: has_failed


@pytest.mark.parametrize(
    ("owner", "step"),
    [(Backlog, "cut"), (Controls, "call"), (Settlement, "answer"), (Call, "_question")],
    ids=["cut", "call", "answer", "question"],
)
async def test_whatever_raises_the_lane_goes_on_and_says_so(
    owner: type, step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    has_failed = fails_once(monkeypatch, owner, step)
    institution = StubInstitution(stub_spec(concurrency=1))
    hit, next_one = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(hit, [1, 2]))
        assert await hit.answered() == dict.fromkeys((1, 2), Outcome.UNAVAILABLE)
        submit(lane, parcel(next_one, [1]))
        assert await next_one.answered() == {1: Outcome.NOT_FOUND}
    assert has_failed()
    assert hit.reasons() == {"INTERNAL"}
    assert "KeyError" in caplog.text
    assert "张三" not in caplog.text


@pytest.mark.parametrize(("owner", "step"), [(Settlement, "problem"), (FlightTable, "release")])
async def test_even_what_raises_while_a_call_ends_does_not_end_the_lane(
    owner: type, step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    has_failed = fails_once(monkeypatch, owner, step)
    institution = StubInstitution(stub_spec(concurrency=1), script(fails(RuntimeError("x")), NOTHING))
    hit, next_one = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(hit, [1]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(next_one, [2]))
        assert await next_one.answered() == {2: Outcome.NOT_FOUND}
    assert has_failed()
    assert bool(hit.delivered) != (hit.failed is not None), "one way or the other it was told"
    assert "KeyError" in caplog.text
    assert "张三" not in caplog.text
