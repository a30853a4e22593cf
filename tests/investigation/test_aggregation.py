"""Aggregators and the fan-out, in virtual time: what a request is told, by when, and that it is told once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from broker.core.planning.parcel import Parcel, Submission
from broker.core.planning.plan import Row
from broker.core.planning.report_stream import ReportStream
from broker.core.wire import encoding
from broker.errors import (
    BadReplyError,
    FailedError,
    OverloadedError,
    RejectedError,
    UnreachableError,
)
from broker.institutions.stub import Behaviour, StubInstitution, fails, holds, says, slow, stub_spec
from broker.investigation.account import Account
from broker.investigation.aggregation import Aggregator
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.step_budget import StepBudget
from broker.model import CONCLUSIVE, Outcome, Priority, Question, Reply, Source
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.fakes import MANDATE, NOW, in_virtual_time, key, run_in_virtual_time, subject

pytestmark = in_virtual_time

NOTHING = holds({})


class Court:
    """One request against the fan-out: what `pipeline.Execution` does, without asyncio."""

    def __init__(self, fanout: FanOut, *, incremental: bool = False, lookups: int = 100) -> None:
        self.fanout = fanout
        self.account = Account({name: column for column, name in enumerate(fanout.lanes)})
        self.tally = self.account.tally
        self.reports: list[pb.Report] = []
        self._specs = [lane.spec for lane in fanout.lanes.values()]
        self.stream = ReportStream(self._take)
        self.aggregator = Aggregator(
            self._specs,
            encoding.ReportWriter([encoding.text_field(1, f"ref-{position}") for position in range(lookups)]),
            self.account,
            self.stream.open_producer(),
            incremental=incremental,
            request_id="request-1",
        )
        self.ended_after: list[int] = []

    def _take(self) -> None:
        for report in self.stream.take():
            self.reports += pb.InvestigateResponse.FromString(report).reports
        if self.stream.has_ended:
            self.ended_after.append(len(self.reports))

    def ask(self, numbers: Sequence[int], *, first_row: int = 0, priority: Priority = Priority.INTERACTIVE) -> None:
        """Asks every institution about these subjects; rows and positions count from `first_row`."""
        rows: list[Row] = [[None] * len(self._specs) for _ in numbers]
        self.aggregator.add(rows, range(first_row, first_row + len(numbers)))
        missed = Parcel(
            waiter=self.aggregator,
            column=-1,
            mandate=MANDATE,
            priority=priority,
            keys=[key(number) for number in numbers],
            subjects=[subject(number) for number in numbers],
            rows=range(first_row, first_row + len(numbers)),
        )
        everything = range(len(numbers))
        self.aggregator.ask(Submission(missed=missed, asked=dict.fromkeys(range(len(self._specs)), everything)))

    async def hear(self, numbers: Sequence[int], time_left: float = 60.0) -> list[pb.Report]:
        """Asks, and waits for everything."""
        self.ask(numbers)
        self.aggregator.seal()
        await self.aggregator.attend(self.fanout, time_left)
        return self.reports

    def answers(self, position: int) -> dict[str, pb.Answer]:
        """All answers to one lookup, by institution; fails if one was given twice."""
        given_ = [answer for report in self.reports if report.position == position for answer in report.answers]
        by_institution = {answer.institution_id: answer for answer in given_}
        assert len(by_institution) == len(given_), "answered twice"
        return by_institution


@asynccontextmanager
async def open_fanout(*institutions: StubInstitution) -> AsyncIterator[FanOut]:
    """A fan-out over these, which must be idle in the end."""
    store = MemoryStore(lambda: NOW)
    async with trio.open_nursery() as nursery:
        budget = StepBudget()
        lanes = [
            Lane(one, store, budget, clock=lambda: NOW, random=lambda: 0.5, idle_since=-inf) for one in institutions
        ]
        fanout = FanOut(lanes, store, budget, clock=lambda: NOW)
        nursery.start_soon(fanout.run)
        yield fanout
        await wait_all_tasks_blocked()
        for lane in fanout.lanes.values():
            statistics = lane.statistics()
            assert (statistics.queued, statistics.in_flight, statistics.calls) == (0, 0, 0)
        nursery.cancel_scope.cancel()


def stubs(**behaviours: Behaviour) -> list[StubInstitution]:
    return [StubInstitution(stub_spec(name), behaviour) for name, behaviour in behaviours.items()]


async def test_every_institution_is_asked_and_one_report_comes_per_lookup() -> None:
    async with open_fanout(*stubs(a=NOTHING, b=says(lambda _: Outcome.FOUND))) as fanout:
        reports = await Court(fanout).hear([7, 8])
    assert [(one.ref, one.position, one.final, one.complete) for one in reports] == [
        ("ref-0", 0, True, True),
        ("ref-1", 1, True, True),
    ]
    for one in reports:
        assert [(answer.institution_id, int(answer.outcome)) for answer in one.answers] == [
            ("a", Outcome.NOT_FOUND),
            ("b", Outcome.FOUND),
        ]


async def test_a_slow_institution_holds_up_only_what_it_is_asked() -> None:
    async with open_fanout(*stubs(a=NOTHING, b=slow(3.0, NOTHING))) as fanout:
        await Court(fanout).hear([1])
        assert trio.current_time() == 3.0
        lane = fanout.lanes["a"]
        assert lane.statistics().calls == 0


async def test_at_the_deadline_what_is_missing_is_timed_out() -> None:
    async with open_fanout(*stubs(a=NOTHING, b=slow(inf, NOTHING))) as fanout:
        court = Court(fanout)
        (report,) = await court.hear([1], time_left=2.0)
        assert trio.current_time() == 2.0
    assert report.final
    assert not report.complete
    late = court.answers(0)["b"]
    assert (int(late.outcome), int(late.source), late.problem.reason) == (Outcome.TIMED_OUT, Source.BROKER, "DEADLINE")
    assert court.tally.by_outcome() == {Outcome.NOT_FOUND: 1, Outcome.TIMED_OUT: 1}


@pytest.mark.parametrize("incremental", [False, True])
async def test_what_is_added_after_the_deadline_is_timed_out_too(incremental: bool) -> None:
    """A slow reader holds the planning of a large request up until its time is over; no lookup may be forgotten."""
    institution = StubInstitution(stub_spec("a"), slow(inf, NOTHING))
    async with open_fanout(institution) as fanout, trio.open_nursery() as nursery:
        court = Court(fanout, incremental=incremental)
        court.ask([1])
        nursery.start_soon(court.aggregator.attend, fanout, 2.0)
        await trio.sleep(3)
        court.ask([2, 3], first_row=1)
        court.aggregator.repeat(1, 3)
        court.aggregator.seal()
    finals = [report for report in court.reports if report.final]
    assert sorted(report.position for report in finals) == [0, 1, 2, 3]
    for position in range(4):
        assert court.answers(position)["a"].outcome == int(Outcome.TIMED_OUT)
    assert sum(len(question.subjects) for question in institution.questions) == 1, "nobody is asked too late"


async def test_no_time_left_is_a_deadline_at_once() -> None:
    async with open_fanout(*stubs(a=slow(1.0, NOTHING))) as fanout:
        court = Court(fanout)
        await court.hear([1], time_left=-5.0)
        assert trio.current_time() == 0.0
    assert court.answers(0)["a"].outcome == int(Outcome.TIMED_OUT)


async def test_the_deadline_of_one_request_is_not_that_of_another() -> None:
    async with open_fanout(*stubs(a=slow(3.0, NOTHING))) as fanout, trio.open_nursery() as nursery:
        hasty, patient = Court(fanout), Court(fanout)
        nursery.start_soon(hasty.hear, [1], 1.0)
        nursery.start_soon(patient.hear, [1])
    assert hasty.answers(0)["a"].outcome == int(Outcome.TIMED_OUT)
    assert patient.answers(0)["a"].outcome == int(Outcome.NOT_FOUND)


async def test_a_request_cancelled_leaves_nothing_behind() -> None:
    institution = StubInstitution(stub_spec("a", timeout=1e9), slow(inf, NOTHING))
    async with open_fanout(institution) as fanout:
        court = Court(fanout)
        with trio.move_on_after(1):
            await court.hear([1, 2])
        await wait_all_tasks_blocked()
        assert institution.busy == 0
    assert court.reports == []


async def test_a_request_is_attended_until_it_is_sealed() -> None:
    async with open_fanout(*stubs(a=NOTHING)) as fanout, trio.open_nursery() as nursery:
        court = Court(fanout)
        nursery.start_soon(court.aggregator.attend, fanout, 60.0)
        court.ask([1])
        await trio.sleep(1)
        court.ask([2], first_row=1)
        await trio.sleep(1)
        court.aggregator.seal()
    assert [report.position for report in court.reports] == [0, 1]
    assert court.ended_after == [2]


async def test_a_repeat_is_reported_when_its_row_is() -> None:
    async with open_fanout(*stubs(a=slow(1.0, NOTHING))) as fanout, trio.open_nursery() as nursery:
        court = Court(fanout)
        court.ask([1])
        court.aggregator.repeat(0, 4)
        nursery.start_soon(court.aggregator.attend, fanout, 60.0)
        await trio.sleep(2)
        court.aggregator.repeat(0, 5)
        court.aggregator.seal()
    assert [(report.ref, report.position) for report in court.reports] == [("ref-0", 0), ("ref-4", 4), ("ref-5", 5)]
    assert court.tally.by_outcome() == {Outcome.NOT_FOUND: 3}
    assert court.ended_after == [3]


# Increments.


async def test_increments_come_as_answers_do_and_the_last_is_final() -> None:
    async with open_fanout(*stubs(a=slow(2.0, NOTHING), b=NOTHING, c=slow(1.0, fails(RejectedError("401"))))) as fanout:
        court = Court(fanout, incremental=True)
        reports = await court.hear([1])
    assert [[answer.institution_id for answer in report.answers] for report in reports] == [["b"], ["c"], ["a"]]
    assert [report.final for report in reports] == [False, False, True]
    assert not reports[-1].complete, "c could not be had"


async def test_a_late_repeat_gets_what_is_known_and_then_the_rest() -> None:
    async with open_fanout(*stubs(a=slow(2.0, NOTHING), b=NOTHING)) as fanout, trio.open_nursery() as nursery:
        court = Court(fanout, incremental=True)
        court.ask([1])
        nursery.start_soon(court.aggregator.attend, fanout, 60.0)
        await trio.sleep(1)
        court.aggregator.repeat(0, 1)
        await trio.sleep(2)
        court.aggregator.repeat(0, 2)
        court.aggregator.seal()
    for position in (0, 1, 2):
        assert set(court.answers(position)) == {"a", "b"}
        assert [report.final for report in court.reports if report.position == position][-1]
        assert sum(report.final for report in court.reports if report.position == position) == 1


async def test_what_the_cache_knows_is_the_first_increment() -> None:
    (known,) = encoding.make_segments("b", [encoding.content(Outcome.FOUND)], Source.CACHE)
    async with open_fanout(*stubs(a=NOTHING, b=NOTHING)) as fanout:
        court = Court(fanout, incremental=True)
        court.aggregator.add([[None, known]], [0])
        assert [answer.institution_id for report in court.reports for answer in report.answers] == ["b"]


# Everything at once: whatever institutions do and whoever leaves, everybody who stays is told everything once.


def erratic(random: Random) -> Behaviour:
    """Does anything an institution can do."""

    def any_outcome(_: object) -> Outcome:
        return random.choice([Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.UNAVAILABLE])

    async def short(question: Question) -> Reply:
        reply = await NOTHING(question)
        return Reply(outcomes=reply.outcomes[1:], contents=reply.contents, observed_at=reply.observed_at)

    things: list[Behaviour] = [
        *[says(any_outcome)] * 4,
        *map(
            fails,
            [
                UnreachableError("x"),
                FailedError("x", overload=True),
                OverloadedError("x"),
                OverloadedError("x", retry_after=2.0),
                RejectedError("401"),
                RejectedError("400", divisible=True),
                BadReplyError("x"),
                RuntimeError("x"),
                KeyError("x"),
            ],
        ),
        slow(inf, NOTHING),
        short,
    ]

    async def behave(question: Question) -> Reply:
        return await slow(random.choice([0.0, 0.01, 0.5, 3.0]), random.choice(things))(question)

    return behave


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_everybody_is_told_everything_once_whatever_happens(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a test's script
    institutions = [
        StubInstitution(
            stub_spec(
                name,
                batch_size=random.choice([1, 3, 10]),
                concurrency=random.choice([1, 3]),
                rate=random.choice([5.0, 1e6]),
                timeout=2.0,
            ),
            erratic(random),
        )
        for name in "abc"
    ]

    async def stay(court: Court, numbers: Sequence[int], time_left: float) -> None:
        await court.hear(numbers, time_left)
        for position in range(len(numbers)):
            answers = court.answers(position)
            assert set(answers) == {"a", "b", "c"}
            (final,) = [report for report in court.reports if report.position == position and report.final]
            assert final.complete == all(int(answer.outcome) in CONCLUSIVE for answer in answers.values())
        assert sum(court.tally.by_outcome().values()) == 3 * len(numbers)
        assert not court.aggregator.table.open_rows

    async def main() -> None:
        async with open_fanout(*institutions) as fanout, trio.open_nursery() as nursery:
            for _ in range(12):
                court = Court(fanout, incremental=random.random() < 0.5)
                numbers = random.sample(range(15), random.randint(1, 8))
                if random.random() < 0.3:
                    nursery.start_soon(_leave_after, random.random() * 3, court, numbers)
                else:
                    nursery.start_soon(stay, court, numbers, random.choice([0.0, 1.0, 30.0]))
                await trio.sleep(random.choice([0.0, 0.1, 2.0]))

    run_in_virtual_time(main)


async def _leave_after(seconds: float, court: Court, numbers: Sequence[int]) -> None:
    with trio.move_on_after(seconds):
        await court.hear(numbers)
    told = len(court.reports)
    await trio.sleep(30)
    assert len(court.reports) == told, "told something after it had left"
