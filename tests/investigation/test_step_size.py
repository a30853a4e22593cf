"""No step of the loop grows with the number of institutions: requests are cut by inquiries, not by lookups."""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

import pytest

from broker.core.planning.chunk import Chunk, LookupColumns, chunk_size
from broker.core.planning.ownership import ALONE
from broker.core.planning.selection import select
from broker.core.wire import encoding
from broker.institutions.stub import OBSERVED_AT, StubInstitution, stub_spec
from broker.investigation.context import ExecutionContext, Order
from broker.investigation.execution import Execution
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.bridge import open_bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.loops.step_budget import StepBudget
from broker.model import Court, Delivery, Level, Mandate, Priority, Request, Subject, SubjectType
from broker.peers.client import Peers
from broker.store.base import Statements
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.fakes import key

MAX_INQUIRIES = 4_000
REQUEST = Request(
    mandate=Mandate(Court("京01", Level.INTERMEDIATE, "京"), "officer", "（2026）京01执1号", "ruling 1"),
    institution_ids=(),
    kinds=frozenset(),
    max_age=None,
    priority=Priority.BULK,
    delivery=Delivery.COMPLETE,
    request_id="request-1",
)


class Forgetful(MemoryStore):
    """Keeps nothing, and remembers how many records each step read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.read: list[int] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        self.read.append(len(keys))
        return super().get_many(keys)

    def put_many(self, statements: Statements) -> None:
        """See `Store`."""


def lookups(count: int) -> Chunk:
    return Chunk(
        LookupColumns(
            heads=[encoding.text_field(1, str(number)) for number in range(count)],
            types=[SubjectType.RESIDENT_ID] * count,
            keys=[key(number) for number in range(count)],
            subjects=[Subject(SubjectType.RESIDENT_ID, str(number), "张三") for number in range(count)],
            problems={},
        ),
        range(count),
    )


@pytest.mark.parametrize(("institutions", "count"), [(4, 2_500), (400, 120), (1_000, 30)])
def test_lookups_are_planned_by_inquiries_and_asked_by_full_calls(institutions: int, count: int) -> None:
    stubs = [StubInstitution(stub_spec(f"institution-{number:04}", batch_size=1_000)) for number in range(institutions)]
    selection = select([stub.spec for stub in stubs], REQUEST.mandate.court)
    messages: list[bytes] = []
    store = Forgetful(lambda: OBSERVED_AT)

    async def write(message: bytes) -> None:
        messages.append(message)

    async def main() -> None:
        async with open_bridge() as bridge:

            async def open_lanes() -> FanOut:
                budget = StepBudget()
                lanes = [
                    Lane(stub, store, budget, clock=lambda: OBSERVED_AT, random=lambda: 0.5, idle_since=-inf)
                    for stub in stubs
                ]
                return FanOut(lanes, store, budget, clock=lambda: OBSERVED_AT)

            fan_out = await bridge.run(open_lanes)
            bridge.start(fan_out.run, lambda _: None)
            context = ExecutionContext(store, fan_out, bridge, Peers(), FairScheduler(), lambda: OBSERVED_AT)
            whole = lookups(count)
            order = Order(REQUEST, selection, asyncio.get_running_loop().time() + 1e6)
            execution = Execution(context, order, whole.columns.heads, write, ownership=ALONE)
            messages.append(await execution.run(list(whole.parts(chunk_size(institutions)))))

    asyncio.run(main())
    assert max(store.read) * institutions <= MAX_INQUIRIES, "no step reads more"
    assert sum(store.read) == 2 * count, "each record is read twice: when it is planned, and when it is asked about"
    for stub in stubs:
        assert [len(question.subjects) for question in stub.questions] == full_calls(count)
    reports = [report for message in messages for report in pb.InvestigateResponse.FromString(message).reports]
    assert sorted(report.position for report in reports) == list(range(count))
    assert {len(report.answers) for report in reports} == {institutions}


def full_calls(count: int) -> list[int]:
    """What an institution is asked: a thousand at a time, however few lookups one step can plan."""
    return [min(1_000, count - start) for start in range(0, count, 1_000)]
