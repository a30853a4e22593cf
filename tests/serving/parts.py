"""What serves a request, in one process: a stub for an institution, a store in memory, a clock of the test's own."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from broker.core.control.admission import Admission
from broker.core.planning.selection import Selector
from broker.core.subjects.key import Keyer
from broker.institutions.stub import OBSERVED_AT, StubInstitution, stub_spec
from broker.investigation.context import ExecutionContext
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.bridge import open_bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.loops.step_budget import StepBudget
from broker.metrics.requests import RequestMetrics
from broker.peers.client import Peers
from broker.serving.pipeline import Pipeline
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb

SPEC = stub_spec()
KEYER = Keyer(b"k" * 32)
ACCOUNTS = [f"6222{number:08}" for number in range(2_500)]
NO_PEERS = Peers()


def message(
    accounts: Sequence[str] = ACCOUNTS,
    *,
    priority: pb.Priority = pb.PRIORITY_INTERACTIVE,
    delivery: pb.Delivery = pb.DELIVERY_COMPLETE,
    request_id: str = "",
) -> pb.InvestigateRequest:
    """A request about bank accounts."""
    request = pb.InvestigateRequest(priority=priority, delivery=delivery, request_id=request_id)
    request.mandate.court_code = "京"
    request.mandate.officer = "officer"
    request.mandate.case_number = "（2026）京执1号"
    request.mandate.legal_document = "ruling"
    for number, account in enumerate(accounts):
        request.lookups.add(ref=str(number)).property.bank_account = account
    return request


def roomy() -> Admission:
    """A gate with room for whatever a test asks."""
    return Admission(max_inquiries=10_000, max_request_bytes=1_000_000)


@asynccontextmanager
async def open_pipeline(
    store: MemoryStore | None = None,
    clock: Callable[[], float] = lambda: OBSERVED_AT + 1,
    *,
    institution: StubInstitution | None = None,
    peers: Peers = NO_PEERS,
    scheduler: FairScheduler | None = None,
    admission: Admission | None = None,
) -> AsyncIterator[Pipeline]:
    """A pipeline over one lane, for as long as the context lasts."""
    used = store or MemoryStore(lambda: OBSERVED_AT)
    async with open_bridge() as bridge:

        async def open_lanes() -> FanOut:
            budget = StepBudget()
            stub = institution or StubInstitution(SPEC)
            lane = Lane(stub, used, budget, clock=clock, random=lambda: 0.5, idle_since=-inf)
            return FanOut([lane], used, budget, clock=clock)

        fanout = await bridge.run(open_lanes)
        bridge.start(fanout.run, lambda _: None)
        yield Pipeline(
            selector=Selector([SPEC]),
            keyer=KEYER,
            admission=admission or roomy(),
            meter=RequestMetrics(CollectorRegistry()),
            context=ExecutionContext(used, fanout, bridge, peers, scheduler or FairScheduler(), clock),
        )


@dataclass(slots=True)
class Call:
    """gRPC's side of a call (`grpc.aio.ServicerContext`): remembers what it is told."""

    seconds: float | None = None
    """What is left of the caller's deadline."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""
    messages: list[bytes] = field(default_factory=list)

    def time_remaining(self) -> float | None:
        return self.seconds

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Details that are for programs."""

    def cancelled(self) -> bool:
        return False

    async def send_initial_metadata(self, _: Sequence[object]) -> None:
        """See `grpc.aio.ServicerContext`."""
        assert not self.messages

    async def write(self, body: bytes) -> None:
        self.messages.append(body)
