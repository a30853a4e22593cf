"""What tests of the core and of the lanes share: subjects, a waiter that remembers, and virtual time."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
import trio
import trio.testing
from trio.lowlevel import in_trio_run

from broker.core.planning.parcel import CallBatch, Parcel
from broker.institutions.interface import Institution
from broker.institutions.stub import OBSERVED_AT
from broker.lanes.lane import Lane
from broker.loops.step_budget import StepBudget
from broker.model import Court, Level, Mandate, Outcome, Priority, Question, Source, Subject, SubjectType
from broker.store.base import Store
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb

T = TypeVar("T")

MANDATE = Mandate(Court("京01", Level.INTERMEDIATE, "京"), "officer", "（2026）京01执1号", "ruling 1")
NOW = OBSERVED_AT + 10
"""The moment at which tests happen unless they say otherwise: every stub's statement is then ten seconds old."""


def subject(number: int) -> Subject:
    """A made-up subject."""
    return Subject(SubjectType.VEHICLE_PLATE, str(number), "")


def key(number: int) -> bytes:
    """The key of that subject."""
    return number.to_bytes(16, "big")


def numbers(question: Question) -> list[int]:
    """The made-up subjects a question is about."""
    return [int(subject.number) for subject in question.subjects]


@dataclass(frozen=True, slots=True)
class Delivered:
    """One answer as a waiter got it."""

    column: int
    row: int
    outcome: Outcome
    source: Source
    segment: bytes

    @property
    def answer(self) -> pb.Answer:
        """The answer within the segment."""
        report = pb.Report.FromString(self.segment)
        (answer,) = report.answers
        return answer


@dataclass(slots=True, eq=False)
class Recorder:
    """A `Waiter` that remembers what it was told, and when."""

    open: bool = True
    request_id: str = "request-1"
    failed: Exception | None = None
    expected: int = 0
    """Inquiries it waits for: `parcel` counts them."""
    delivered: list[Delivered] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """When it was told something, in trio's seconds."""
    _told: trio.Event = field(default_factory=trio.Event)

    def deliver(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Waiter`; insists on what every delivery must be."""
        assert self.open, "delivered to somebody who has left"
        assert rows, "delivered nothing"
        if in_trio_run():
            self.moments.append(trio.current_time())
        for row, segment, outcome in zip(rows, segments, outcomes, strict=True):
            one = Delivered(column, row, Outcome(outcome), source, segment)
            assert (int(one.answer.outcome), int(one.answer.source)) == (outcome, source)
            self.delivered.append(one)
        self._told.set()

    def fail(self, error: Exception) -> None:
        """See `Waiter`."""
        self.open, self.failed = False, error
        self._told.set()

    async def answered(self) -> dict[int, Outcome]:
        """Waits until everything it asked is answered; the outcomes by row."""
        while len(self.delivered) < self.expected:
            self._told = trio.Event()
            await self._told.wait()
        return self.outcomes()

    def outcomes(self) -> dict[int, Outcome]:
        """Outcome by row; fails if a row was answered twice."""
        counts = Counter(one.row for one in self.delivered)
        assert set(counts.values()) <= {1}, f"answered more than once: {counts}"
        return {one.row: one.outcome for one in self.delivered}

    def sources(self) -> set[Source]:
        """All sources that occurred."""
        return {one.source for one in self.delivered}

    def reasons(self) -> set[str]:
        """All problems' reasons."""
        return {one.answer.problem.reason for one in self.delivered}


def parcel(
    waiter: Recorder,
    numbers: Sequence[int],
    *,
    priority: Priority = Priority.INTERACTIVE,
    mandate: Mandate = MANDATE,
    column: int = 0,
) -> Parcel:
    """A parcel about made-up subjects; the subject's number is the waiter's row."""
    waiter.expected += len(numbers)
    return Parcel(
        waiter=waiter,
        column=column,
        mandate=mandate,
        priority=priority,
        keys=[key(number) for number in numbers],
        subjects=[subject(number) for number in numbers],
        rows=list(numbers),
    )


def batch_of(waiter: Recorder, subjects: Sequence[Subject], **changes: Any) -> CallBatch:
    """A batch of one parcel about these subjects; a subject's place is the waiter's row. `changes` are fields of it."""
    made = parcel(waiter, range(len(subjects)))
    return CallBatch([replace(made, subjects=subjects, **changes)])


def submit(lane: Lane, asked: Parcel, *, joins_calls_after: float = -math.inf) -> None:
    """Has a lane asked, of whose answers none has landed meanwhile."""
    if (fresh := lane.reserve(asked, joins_calls_after=joins_calls_after)) is not None:
        lane.ask(fresh)


@asynccontextmanager
async def open_lane(
    institution: Institution, store: Store | None = None, *, random: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Lane]:
    """A lane that runs for as long as the context lasts, and must be idle at its end. The burst has been saved up."""
    async with trio.open_nursery() as nursery:
        lane = Lane(
            institution,
            store or MemoryStore(lambda: NOW),
            StepBudget(),
            clock=lambda: NOW,
            random=random,
            idle_since=-math.inf,
        )
        nursery.start_soon(lane.run)
        yield lane
        await trio.testing.wait_all_tasks_blocked()
        statistics = lane.statistics()
        assert (statistics.queued, statistics.in_flight, statistics.calls) == (0, 0, 0), "something was left behind"
        nursery.cancel_scope.cancel()


def run_in_virtual_time(main: Callable[..., Awaitable[T]], **options: Any) -> T:
    """Runs a trio program whose clock begins at 0 and jumps ahead whenever everybody waits."""
    return trio.run(main, **{**options, "clock": trio.testing.MockClock(autojump_threshold=0)})


in_virtual_time = pytest.mark.usefixtures("autojump_clock")
"""For a module's `pytestmark`: none of its tests takes real time (see conftest.py)."""
