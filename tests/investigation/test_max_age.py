"""A request's maximum age, from the store to the report: also with a clock that is set back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import pytest

from broker.core.planning.chunk import Chunk, LookupColumns
from broker.core.planning.ownership import ALONE
from broker.core.planning.selection import select
from broker.core.wire import encoding
from broker.institutions.stub import OBSERVED_AT, StubInstitution, content, stub_spec
from broker.investigation.context import ExecutionContext, Order
from broker.investigation.execution import Execution
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.bridge import open_bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.loops.step_budget import StepBudget
from broker.model import Delivery, Outcome, Priority, Question, Reply, Request, Subject, SubjectType
from broker.peers.client import Peers
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.fakes import MANDATE, key

HOUR = 3600
COUNT = 3
CACHE, INSTITUTION = pb.SOURCE_CACHE, pb.SOURCE_INSTITUTION


@dataclass(slots=True)
class Clock:
    """Seconds since the epoch, set by hand."""

    now: float = OBSERVED_AT + 0.5

    def __call__(self) -> float:
        return self.now


class CountingStore(MemoryStore):
    """Counts the subjects it was asked about."""

    reads = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        self.reads += len(keys)
        return super().get_many(keys)


class Court:
    """Asks one institution, whose answers are observed when they are given."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = CountingStore(self.clock)

    async def answer(self, question: Question) -> Reply:
        """The institution."""
        count, now = len(question.subjects), int(self.clock())
        return Reply(
            outcomes=bytes([Outcome.NOT_FOUND]) * count,
            contents=[content(Outcome.NOT_FOUND, observed_at=now)] * count,
            observed_at=[now] * count,
        )

    async def ask(self, max_age: float | None) -> list[pb.Answer]:
        """The answers to one request."""
        spec = stub_spec(found_ttl=HOUR, not_found_ttl=HOUR)
        messages: list[bytes] = []

        async def write(message: bytes) -> None:
            messages.append(message)

        async with open_bridge() as bridge:

            async def open_lane() -> FanOut:
                budget = StepBudget()
                lane = Lane(
                    StubInstitution(spec, self.answer),
                    self.store,
                    budget,
                    clock=self.clock,
                    random=lambda: 0.5,
                    idle_since=-inf,
                )
                return FanOut([lane], self.store, budget, clock=self.clock)

            fan_out = await bridge.run(open_lane)
            bridge.start(fan_out.run, lambda _: None)
            context = ExecutionContext(self.store, fan_out, bridge, Peers(), FairScheduler(), self.clock)
            order = Order(request(max_age), select([spec], MANDATE.court), asyncio.get_running_loop().time() + 1e6)
            execution = Execution(context, order, CHUNK.columns.heads, write, ownership=ALONE)
            messages.append(await execution.run([CHUNK]))
        reports = [report for message in messages for report in pb.InvestigateResponse.FromString(message).reports]
        return [answer for report in reports for answer in report.answers]


CHUNK = Chunk(
    LookupColumns(
        heads=[encoding.text_field(1, str(number)) for number in range(COUNT)],
        types=[SubjectType.RESIDENT_ID] * COUNT,
        keys=[key(number) for number in range(COUNT)],
        subjects=[Subject(SubjectType.RESIDENT_ID, str(number), "张三") for number in range(COUNT)],
        problems={},
    ),
    range(COUNT),
)


def request(max_age: float | None) -> Request:
    return Request(
        mandate=MANDATE,
        institution_ids=(),
        kinds=frozenset(),
        max_age=max_age,
        priority=Priority.INTERACTIVE,
        delivery=Delivery.COMPLETE,
        request_id="request-1",
    )


@pytest.mark.parametrize(
    ("max_age", "passed", "source"),
    [
        pytest.param(None, 0, CACHE, id="any age, at once"),
        pytest.param(None, HOUR - 1, CACHE, id="any age, until the TTL ends"),
        pytest.param(None, HOUR, INSTITUTION, id="the TTL has ended"),
        pytest.param(60, 59, CACHE, id="young enough"),
        pytest.param(60, 60, INSTITUTION, id="too old"),
        pytest.param(0, 0, INSTITUTION, id="age zero, within the second"),
        pytest.param(None, -1, INSTITUTION, id="any age, set back by a second"),
        pytest.param(None, -HOUR, INSTITUTION, id="any age, set back by an hour"),
        pytest.param(60, -HOUR, INSTITUTION, id="a minute, set back"),
        pytest.param(0, -HOUR, INSTITUTION, id="age zero, set back"),
    ],
)
def test_whose_word_the_second_answer_is(max_age: float | None, passed: float, source: int) -> None:
    async def scenario() -> None:
        court = Court()
        await court.ask(None)
        court.clock.now += passed
        answers = await court.ask(max_age)
        assert [int(answer.source) for answer in answers] == [source] * COUNT
        assert all(answer.observed_at.seconds <= court.clock.now for answer in answers)
        if max_age is None:  # what was asked anew is kept, though what was held before seems newer
            again = await court.ask(None)
            assert [int(answer.source) for answer in again] == [CACHE] * COUNT
            assert all(answer.observed_at.seconds <= court.clock.now for answer in again)

    asyncio.run(scenario())


@pytest.mark.parametrize(("max_age", "is_read"), [(None, True), (60, True), (0, False)])
def test_a_request_for_the_present_does_not_read_the_cache(max_age: float | None, is_read: bool) -> None:
    async def scenario() -> None:
        court = Court()
        await court.ask(max_age)
        assert bool(court.store.reads) == is_read

    asyncio.run(scenario())
