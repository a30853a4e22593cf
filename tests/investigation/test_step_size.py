"""No step of the loop grows with the number of institutions: requests are cut by inquiries, not by lookups."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from broker.core.planning.chunk import Chunk, LookupColumns, chunk_size
from broker.core.planning.ownership import ALONE
from broker.core.planning.parcel import Parcel
from broker.core.planning.selection import select
from broker.core.wire import encoding
from broker.institutions.stub import OBSERVED_AT, StubInstitution, stub_spec
from broker.investigation.context import ExecutionContext, Order
from broker.investigation.execution import Execution
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.bridge import open_bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.model import Court, Delivery, Level, Mandate, Priority, Request, Subject, SubjectType
from broker.peers.client import Peers
from broker.store.base import Statements
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.fakes import key

MAX_INQUIRIES = 20_000
REQUEST = Request(
    mandate=Mandate(Court("京01", Level.INTERMEDIATE, "京"), "officer", "（2026）京01执1号", "ruling 1"),
    institution_ids=(),
    kinds=frozenset(),
    max_age=None,
    priority=Priority.BULK,
    delivery=Delivery.COMPLETE,
    request_id="request-1",
)


class WatchedFanOut(FanOut):
    """Remembers how many inquiries, and how many records, each step was about."""

    steps: list[tuple[int, int]]

    def submit(self, parcels: Mapping[str, Parcel], keys: Sequence[bytes], *, max_age: float | None = None) -> None:
        self.steps.append((sum(map(len, parcels.values())), len(keys)))
        super().submit(parcels, keys, max_age=max_age)


class Forgetful(MemoryStore):
    """Keeps nothing: what is tested are the steps, not the store."""

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
def test_a_step_submits_no_more_than_so_many_inquiries(institutions: int, count: int) -> None:
    specs = [stub_spec(f"institution-{number:04}") for number in range(institutions)]
    selection = select(specs, REQUEST.mandate.court)
    messages: list[bytes] = []
    steps: list[tuple[int, int]] = []

    async def write(message: bytes) -> None:
        messages.append(message)

    async def main() -> None:
        store = Forgetful(lambda: OBSERVED_AT)
        async with open_bridge() as bridge:

            async def open_lanes() -> WatchedFanOut:
                lanes = [
                    Lane(StubInstitution(spec), store, clock=lambda: OBSERVED_AT, random=lambda: 0.5) for spec in specs
                ]
                fan_out = WatchedFanOut(lanes, store, clock=lambda: OBSERVED_AT)
                fan_out.steps = steps
                return fan_out

            fan_out = await bridge.run(open_lanes)
            bridge.start(fan_out.run, lambda _: None)
            context = ExecutionContext(store, fan_out, bridge, Peers(), FairScheduler(), lambda: OBSERVED_AT)
            whole = lookups(count)
            order = Order(REQUEST, selection, asyncio.get_running_loop().time() + 1e6)
            execution = Execution(context, order, whole.columns.heads, write, ownership=ALONE)
            messages.append(await execution.run(list(whole.parts(chunk_size(institutions)))))

    asyncio.run(main())
    assert max(inquiries for inquiries, _ in steps) <= MAX_INQUIRIES
    assert sum(inquiries for inquiries, _ in steps) == institutions * count
    assert sum(records for _, records in steps) == count, "each record is read once before submission"
    reports = [report for message in messages for report in pb.InvestigateResponse.FromString(message).reports]
    assert sorted(report.position for report in reports) == list(range(count))
    assert {len(report.answers) for report in reports} == {institutions}
