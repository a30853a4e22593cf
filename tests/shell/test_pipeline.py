"""One request's way, with a stub for an institution and a clock of the test's own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from prometheus_client import CollectorRegistry

from broker import contract
from broker.admission import Admission
from broker.bridge import open_bridge
from broker.colleagues import ColleagueError, Colleagues
from broker.core import record, wire
from broker.core.key import Keyer
from broker.core.ownership import Ownership
from broker.core.selection import Selector
from broker.fanout import FanOut
from broker.handover import Footer, Handover
from broker.inquest import Parts
from broker.institutions.stub import OBSERVED_AT, StubInstitution, stub_spec
from broker.lane import Lane
from broker.metrics import RequestMeter
from broker.model import Outcome, Source, SubjectType
from broker.pipeline import Pipeline
from broker.store.base import Statements
from broker.store.memory import MemoryStore
from broker.turnstile import Turnstile
from broker.v1 import investigation_pb2 as pb

SPEC = stub_spec()
KEYER = Keyer(b"k" * 32)
ACCOUNTS = [f"6222{number:08}" for number in range(2_500)]


def message() -> pb.InvestigateRequest:
    request = pb.InvestigateRequest()
    request.mandate.court_code = "京"
    request.mandate.officer = "officer"
    request.mandate.case_number = "（2026）京执1号"
    request.mandate.legal_document = "ruling"
    for number, account in enumerate(ACCOUNTS):
        request.lookups.add(ref=str(number)).property.bank_account = account
    return request


def filled_store(expires: int) -> MemoryStore:
    store = MemoryStore(lambda: OBSERVED_AT)
    count = len(ACCOUNTS)
    nothing = wire.content(Outcome.NOT_FOUND, observed_at=OBSERVED_AT)
    store.put_many(
        Statements(
            institution=record.institution_key(SPEC.id),
            keys=KEYER.keys([SubjectType.BANK_ACCOUNT] * count, ACCOUNTS, [""] * count),
            outcomes=bytes([Outcome.NOT_FOUND]) * count,
            observed=[OBSERVED_AT] * count,
            expires=[expires] * count,
            segments=wire.seal(SPEC.id, [nothing] * count, Source.INSTITUTION),
        )
    )
    return store


NO_COLLEAGUES = Colleagues()


def sources(
    store: MemoryStore,
    clock: Callable[[], float],
    *,
    colleagues: Colleagues = NO_COLLEAGUES,
    turnstile: Turnstile | None = None,
) -> Counter[int]:
    """Where the answers to one request over all accounts come from."""

    async def main() -> Counter[int]:
        said: Counter[int] = Counter()

        async def write(body: bytes) -> None:
            for report in pb.InvestigateResponse.FromString(body).reports:
                said.update(int(answer.source) for answer in report.answers)

        async with open_bridge() as bridge:

            async def open_lanes() -> FanOut:
                return FanOut([Lane(StubInstitution(SPEC), store, clock=clock, random=lambda: 0.5)])

            fanout = await bridge.run(open_lanes)
            bridge.start(fanout.run, lambda _: None)
            pipeline = Pipeline(
                selector=Selector([SPEC]),
                keyer=KEYER,
                admission=Admission(10_000),
                meter=RequestMeter(CollectorRegistry()),
                parts=Parts(store, fanout, bridge, colleagues, turnstile or Turnstile(), clock),
            )
            request = contract.read_request(message().SerializeToString(), most_lookups=10_000)
            await pipeline.investigate(request, 10.0, write)
        return said

    return asyncio.run(main())


def test_what_is_fresh_is_served() -> None:
    assert sources(filled_store(OBSERVED_AT + 60), lambda: OBSERVED_AT + 1) == {Source.CACHE: 2_500}


def test_what_expires_while_a_request_is_held_up_is_asked_anew() -> None:
    """A slow reader holds a request up between two batches: the clock has gone on."""
    moments = iter([OBSERVED_AT + 1, OBSERVED_AT + 1])  # the day, and the first batch

    said = sources(filled_store(OBSERVED_AT + 60), lambda: next(moments, OBSERVED_AT + 100))
    assert said == {Source.CACHE: 1_000, Source.INSTITUTION: 1_500}


def test_what_lands_between_plan_and_submission_is_not_asked_again() -> None:
    """A flight of another request may end there: then neither the plan's reading nor the flight table knows of it."""
    filled = filled_store(OBSERVED_AT + 60)
    store = MemoryStore(lambda: OBSERVED_AT)
    plain_read, reads = store.get_many, []

    def get_many(keys: Sequence[bytes]) -> list[bytes | None]:
        reads.append(len(keys))
        return plain_read(keys) if len(reads) <= 2 else filled.get_many(keys)

    store.get_many = get_many  # type: ignore[method-assign]
    assert sources(store, lambda: OBSERVED_AT + 1) == {Source.CACHE: 2_500}
    assert reads[:2] == [500] * 2  # for the plan
    assert reads.count(1_000) == 1  # before submission


class Counted(Turnstile):
    """Remembers the sizes of the steps that came to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def turn(self, size: int) -> None:
        self.sizes.append(size)
        await super().turn(size)


class Gone(Colleagues):
    """Another worker that owns half of all subjects, and cannot be reached."""

    def __init__(self) -> None:
        super().__init__(Ownership(0, 2))
        self.handed = 0

    async def ask(self, owner: int, handover: Handover) -> AsyncIterator[bytes | Footer]:
        self.handed += len(handover.keys)
        if self.handed:
            msg = f"worker {owner} is gone"
            raise ColleagueError(msg)
        yield b""


def test_every_step_of_a_bulk_request_waits_for_its_turn() -> None:
    turnstile = Counted()
    sources(filled_store(OBSERVED_AT + 60), lambda: OBSERVED_AT + 1, turnstile=turnstile)
    assert turnstile.sizes == [1_000, 1_000, 500] + [500] * 5  # its lookups, and their records


def test_handing_over_waits_for_its_turn() -> None:
    turnstile, colleagues = Counted(), Gone()
    said = sources(MemoryStore(lambda: OBSERVED_AT), lambda: OBSERVED_AT, colleagues=colleagues, turnstile=turnstile)
    assert said == {Source.INSTITUTION: 2_500}
    assert colleagues.handed > 1_000
    # Lookups and records; then what was handed over, and its records, which are read anew when nobody takes them.
    assert sum(turnstile.sizes) == 2 * 2_500 + 2 * colleagues.handed
