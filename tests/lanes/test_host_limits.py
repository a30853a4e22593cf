"""What an institution allows the host holds for all its workers together, as fast as their lanes can ask."""

import math
from collections.abc import Sequence

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.core.control.share import max_workers, share_of
from broker.core.planning.ownership import Ownership
from broker.institutions.stub import StubInstitution, holds, stub_spec
from broker.lanes.lane import Lane
from broker.loops.step_budget import StepBudget
from broker.model import InstitutionSpec, Priority, Question, Reply
from broker.store.memory import MemoryStore
from tests.fakes import NOW, Recorder, parcel, run_in_virtual_time, submit

SECONDS = 3
NOTHING = holds({})
Sent = list[tuple[float, int]]
"""Moments and numbers of inquiries, in order."""


def everything_sent(spec: InstitutionSpec, workers: int, replaced: Sequence[float] = ()) -> Sent:
    """What all workers send, who have more to ask than the institution takes, and have saved up their burst at first.

    `replaced`: moments, in order, at which each worker is replaced by one that knows nothing.
    """
    sent: Sent = []

    async def answer(question: Question) -> Reply:
        sent.append((trio.current_time(), len(question.subjects)))
        return await NOTHING(question)

    async def run_worker(slot: int, until: float, idle_since: float | None) -> None:
        institution = StubInstitution(share_of(spec, Ownership(slot, workers)), answer)
        lane = Lane(
            institution,
            MemoryStore(lambda: NOW),
            StepBudget(),
            clock=lambda: NOW,
            random=lambda: 0.5,
            idle_since=idle_since,
        )
        inquiries = math.ceil(max(spec.rate, spec.batch_size) + SECONDS * spec.rate)
        submit(lane, parcel(Recorder(), range(inquiries), priority=Priority.BULK))
        with trio.move_on_at(until):
            await lane.run()

    async def run_slot(slot: int) -> None:
        idle_since: float | None = -math.inf
        for end in (*replaced, SECONDS):
            await run_worker(slot, end, idle_since)
            idle_since = None

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            for slot in range(workers):
                nursery.start_soon(run_slot, slot)

    run_in_virtual_time(scenario)
    return sent


def most_beyond(sent: Sent, rate: float) -> float:
    """The most that was sent within any window, beyond what the rate pays for during it."""
    beyond, opened = 0.0, 0.0
    before: float | None = None
    for moment, size in sent:
        if before is not None:
            opened = max(0.0, opened - rate * (moment - before))
        opened += size
        beyond, before = max(beyond, opened), moment
    return beyond


def test_beyond_the_rate() -> None:
    assert most_beyond([(0.0, 5), (1.0, 5), (1.0, 1)], rate=2) == 9
    assert most_beyond([(0.0, 5), (9.0, 6)], rate=2) == 6


@settings(max_examples=30)  # up to 1,500 calls each
@given(
    workers=st.integers(1, 8),
    rate=st.floats(0.5, 500),
    batch_size=st.integers(1, 600),
)
@example(workers=8, rate=1000, batch_size=500)
@example(workers=8, rate=1001, batch_size=500)
@example(workers=7, rate=20, batch_size=500)
@example(workers=3, rate=1.5, batch_size=4)
def test_rate_and_burst_hold_for_the_host(workers: int, rate: float, batch_size: int) -> None:
    spec = stub_spec(rate=rate, batch_size=batch_size, concurrency=8)
    workers = min(workers, max_workers(spec))
    sent = everything_sent(spec, workers)
    assert most_beyond(sent, rate) <= max(rate, batch_size) + 1e-6
    assert sum(size for _, size in sent) >= SECONDS * rate * 0.7 - workers, "the rate is used"


@settings(max_examples=30)
@given(
    workers=st.integers(1, 4),
    rate=st.floats(0.5, 200),
    batch_size=st.integers(1, 300),
    replaced=st.lists(st.floats(0, SECONDS), max_size=3).map(sorted),
)
@example(workers=2, rate=1, batch_size=100, replaced=[0.1])
def test_they_hold_for_workers_that_are_replaced(
    workers: int, rate: float, batch_size: int, replaced: list[float]
) -> None:
    spec = stub_spec(rate=rate, batch_size=batch_size, concurrency=8)
    sent = everything_sent(spec, min(workers, max_workers(spec)), replaced)
    assert most_beyond(sent, rate) <= max(rate, batch_size) + 1e-6
