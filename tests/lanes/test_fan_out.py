"""What a request asks of thousands of institutions takes many steps of the loop, and is still asked once."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.planning.freshness import Freshness
from broker.core.planning.landed import Landed, add_landed
from broker.core.planning.parcel import Parcel, Submission
from broker.core.wire.record import Entry
from broker.institutions.stub import StubInstitution, holds, slow, stub_spec
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import NOTHING_LANDED, Lane
from broker.loops.step_budget import StepBudget
from broker.model import Outcome, Priority, Question, Reply, Source
from broker.store.memory import MemoryStore
from tests.fakes import NOW, Recorder, in_virtual_time, key, parcel

pytestmark = in_virtual_time

NOTHING = holds({})


class Steps(trio.abc.Instrument):
    """Counts what happens in each step of a trio run."""

    def __init__(self) -> None:
        self.number = 0
        self.counts: Counter[int] = Counter()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """See `trio.abc.Instrument`: once before each step."""
        self.number += 1

    def count(self) -> None:
        """Takes note that something happened."""
        self.counts[self.number] += 1


class CountedLane(Lane):
    """A lane whose work is counted."""

    steps: Steps

    def reserve(self, parcel: Parcel, *, joins_calls_after: float = -math.inf) -> Parcel | None:
        self.steps.count()
        return super().reserve(parcel, joins_calls_after=joins_calls_after)

    def ask(self, parcel: Parcel, landed: Landed = NOTHING_LANDED) -> None:
        self.steps.count()
        super().ask(parcel, landed)


class CountedStore(MemoryStore):
    """Counts the records read."""

    read = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        self.read += len(keys)
        return super().get_many(keys)


@asynccontextmanager
async def open_fan_out(stubs: Sequence[StubInstitution], store: MemoryStore, steps: Steps) -> AsyncIterator[FanOut]:
    async with trio.open_nursery() as nursery:
        budget = StepBudget()
        lanes = [
            CountedLane(stub, store, budget, clock=lambda: NOW, random=lambda: 0.5, idle_since=-math.inf)
            for stub in stubs
        ]
        for lane in lanes:
            lane.steps = steps
        fan_out = FanOut(lanes, store, budget, clock=lambda: NOW)
        nursery.start_soon(fan_out.run)
        trio.lowlevel.add_instrument(steps)
        yield fan_out
        await wait_all_tasks_blocked()
        assert not any(lane.statistics().in_flight or lane.statistics().queued for lane in lanes)
        trio.lowlevel.remove_instrument(steps)
        nursery.cancel_scope.cancel()


def submission(waiter: Recorder, numbers: Sequence[int], institutions: int) -> Submission:
    missed = parcel(waiter, numbers, priority=Priority.BULK, column=-1)
    waiter.expected += (institutions - 1) * len(numbers)
    return Submission(missed=missed, asked={column: range(len(numbers)) for column in range(institutions)})


async def everything_answered(waiter: Recorder) -> None:
    while len(waiter.delivered) < waiter.expected:
        await wait_all_tasks_blocked()


def stubs_of(count: int, steps: Steps) -> list[StubInstitution]:
    async def answer(question: Question) -> Reply:
        steps.count()
        return await NOTHING(question)

    return [StubInstitution(stub_spec(f"institution-{number:04}"), answer) for number in range(count)]


@pytest.mark.parametrize("institutions", [4, 400, 1_500])
async def test_no_step_grows_with_the_number_of_institutions(institutions: int) -> None:
    """It did: one request woke all lanes in one step, and trio runs all that is ready before anybody else."""
    steps = Steps()
    stubs, store, waiter = stubs_of(institutions, steps), CountedStore(lambda: NOW), Recorder()
    async with open_fan_out(stubs, store, steps) as fan_out:
        await fan_out.submit(submission(waiter, [1, 2, 3], institutions), [stub.spec for stub in stubs])
        await everything_answered(waiter)
    assert max(steps.counts.values()) <= 500
    assert sum(steps.counts.values()) == 3 * institutions, "each lane is visited twice, each institution asked once"
    assert store.read == 3, "each record is read once"


@pytest.mark.parametrize("at", range(0, 60, 9))
async def test_what_is_cancelled_half_way_leaves_nothing_reserved(at: int) -> None:
    steps = Steps()
    stubs, waiter, other = stubs_of(300, steps), Recorder(), Recorder()
    async with open_fan_out(stubs, MemoryStore(lambda: NOW), steps) as fan_out:
        specs = [stub.spec for stub in stubs]
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fan_out.submit, submission(waiter, [1, 2], 300), specs)
                nursery.start_soon(fan_out.submit, submission(other, [2, 3], 300), specs)
                for _ in range(at):
                    await trio.lowlevel.checkpoint()
                waiter.open = False
                other.open = False
                scope.cancel()
        await fan_out.forsake([spec.id for spec in specs])


async def test_who_joins_what_is_reserved_gets_its_answer_though_the_first_leaves() -> None:
    steps = Steps()
    stubs, leaver, stays = stubs_of(1, steps), Recorder(), Recorder()
    async with open_fan_out(stubs, MemoryStore(lambda: NOW), steps) as fan_out:
        (lane,) = fan_out.lanes.values()
        reserved = lane.reserve(parcel(leaver, [1]))
        assert lane.reserve(parcel(stays, [1])) is None, "it is in flight"
        leaver.open = False
        assert reserved is not None
        lane.ask(reserved)
        assert await stays.answered() == {1: Outcome.NOT_FOUND}


async def test_what_landed_before_it_was_reserved_is_not_asked_again() -> None:
    steps = Steps()
    stubs, first, second = stubs_of(2, steps), Recorder(), Recorder()
    async with open_fan_out(stubs, MemoryStore(lambda: NOW), steps) as fan_out:
        specs = [stub.spec for stub in stubs]
        await fan_out.submit(submission(first, [1, 2], 2), specs)
        await everything_answered(first)
        await fan_out.submit(submission(second, [1, 2, 3], 2), specs)
        await everything_answered(second)
    assert sum(len(question.subjects) for stub in stubs for question in stub.questions) == 6
    assert second.sources() == {Source.CACHE, Source.INSTITUTION}


async def test_somebody_at_a_screen_who_joins_what_is_reserved_pulls_it_ahead() -> None:
    steps = Steps()
    asked: list[bytes] = []

    async def answer(question: Question) -> Reply:
        asked.extend(key(int(subject.number)) for subject in question.subjects)
        return await slow(1.0, NOTHING)(question)

    stub = StubInstitution(stub_spec("a", batch_size=1, concurrency=1), answer)
    night, officer = Recorder(), Recorder()
    async with open_fan_out([stub], MemoryStore(lambda: NOW), steps) as fan_out:
        (lane,) = fan_out.lanes.values()
        reserved = lane.reserve(parcel(night, range(5), priority=Priority.BULK))
        assert lane.reserve(parcel(officer, [4])) is None
        assert reserved is not None
        lane.ask(reserved)
        assert await officer.answered() == {4: Outcome.NOT_FOUND}
        assert asked == [key(4)]
        await night.answered()


async def test_a_request_with_a_maximum_age_does_not_join_what_the_store_may_answer() -> None:
    """Who has reserved it is answered from the store, perhaps with what is older than this request accepts."""
    steps, store = Steps(), MemoryStore(lambda: NOW)
    stubs, first, second, strict = stubs_of(1, steps), Recorder(), Recorder(), Recorder()
    async with open_fan_out(stubs, store, steps) as fan_out:
        (lane,) = fan_out.lanes.values()
        await fan_out.submit(submission(first, [1], 1), [stubs[0].spec])
        await everything_answered(first)
        reserved = lane.reserve(parcel(second, [1]))
        assert reserved is not None
        assert lane.reserve(parcel(strict, [1]), joins_calls_after=trio.current_time()) is None
        landed: dict[bytes, dict[bytes, Entry]] = {}
        add_landed(landed, [key(1)], store.get_many([key(1)]), Freshness.at(NOW, None))
        lane.ask(reserved, *landed.values())
        assert await strict.answered() == {1: Outcome.NOT_FOUND}
    assert second.sources() == {Source.CACHE}
    assert strict.sources() == {Source.INSTITUTION}
