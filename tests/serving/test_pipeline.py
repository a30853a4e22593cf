"""One request's way, with a stub for an institution and a clock of the test's own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from broker.core.planning.ownership import Ownership
from broker.core.planning.tally import Tally
from broker.core.wire import encoding, record
from broker.institutions.stub import OBSERVED_AT, StubInstitution, stub_spec
from broker.loops.fair_scheduler import FairScheduler
from broker.model import Outcome, Source, SubjectType
from broker.peers.client import PeerError, Peers
from broker.peers.messages import ForwardRequest, Trailer
from broker.serving import contract
from broker.serving.gate import OPEN_GATE
from broker.store.base import Statements
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.serving.parts import ACCOUNTS, KEYER, NO_PEERS, SPEC, message, open_pipeline


def filled_store(expires: int) -> MemoryStore:
    store = MemoryStore(lambda: OBSERVED_AT)
    count = len(ACCOUNTS)
    nothing = encoding.content(Outcome.NOT_FOUND, observed_at=OBSERVED_AT)
    store.put_many(
        Statements(
            institution=record.institution_key(SPEC.id),
            keys=KEYER.keys([SubjectType.BANK_ACCOUNT] * count, ACCOUNTS, [""] * count),
            outcomes=bytes([Outcome.NOT_FOUND]) * count,
            observed=[OBSERVED_AT] * count,
            expires=[expires] * count,
            segments=encoding.make_segments(SPEC.id, [nothing] * count, Source.INSTITUTION),
        )
    )
    return store


def responses(
    request: pb.InvestigateRequest,
    store: MemoryStore,
    clock: Callable[[], float] = lambda: OBSERVED_AT + 1,
    *,
    institution: StubInstitution | None = None,
    peers: Peers = NO_PEERS,
    scheduler: FairScheduler | None = None,
    seconds: float = 10.0,
) -> list[pb.InvestigateResponse]:
    """All messages of the stream of a request that has so many seconds."""

    async def main() -> list[pb.InvestigateResponse]:
        said: list[pb.InvestigateResponse] = []

        async def write(body: bytes) -> None:
            said.append(pb.InvestigateResponse.FromString(body))

        opened = open_pipeline(store, clock, institution=institution, peers=peers, scheduler=scheduler)
        async with opened as pipeline:
            read, encoded = contract.read_request(request.SerializeToString(), max_lookups=10_000)
            with pipeline.admission.enter(0) as holding:
                passage = OPEN_GATE.passage("Investigate", b"", None)
                await pipeline.investigate(holding, passage, read, encoded, seconds, write)
        return said

    return asyncio.run(main())


def sources(
    store: MemoryStore,
    clock: Callable[[], float],
    *,
    peers: Peers = NO_PEERS,
    scheduler: FairScheduler | None = None,
) -> Counter[int]:
    """Where the answers to one request over all accounts come from."""
    said = responses(message(), store, clock, peers=peers, scheduler=scheduler)
    return Counter(int(answer.source) for each in said for report in each.reports for answer in report.answers)


def test_what_is_fresh_is_served() -> None:
    assert sources(filled_store(OBSERVED_AT + 60), lambda: OBSERVED_AT + 1) == {Source.CACHE: 2_500}


def test_what_expires_while_a_request_is_held_up_is_asked_anew() -> None:
    """A slow reader holds a request up between two batches: the clock has gone on."""
    moments = iter([OBSERVED_AT + 1] * 3)  # the day; when the first batch is read, and planned

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


class Counted(FairScheduler):
    """Remembers the sizes of the steps that came to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def wait_turn(self, size: int) -> None:
        self.sizes.append(size)
        await super().wait_turn(size)


class Gone(Peers):
    """Another worker that owns half of all subjects, and cannot be reached."""

    def __init__(self) -> None:
        super().__init__(Ownership(0, 2))
        self.handed = 0

    async def ask(self, owner: int, forward_request: ForwardRequest) -> AsyncIterator[bytes | Trailer]:
        self.handed += len(forward_request.keys)
        if self.handed:
            msg = f"worker {owner} is gone"
            raise PeerError(msg)
        yield b""


def test_every_step_of_a_bulk_request_waits_for_its_turn() -> None:
    scheduler = Counted()
    sources(filled_store(OBSERVED_AT + 60), lambda: OBSERVED_AT + 1, scheduler=scheduler)
    assert scheduler.sizes == [1_000, 1_000, 500] + [500] * 5  # its lookups, and their records


def test_forwarding_waits_for_its_turn() -> None:
    scheduler, peers = Counted(), Gone()
    said = sources(MemoryStore(lambda: OBSERVED_AT), lambda: OBSERVED_AT, peers=peers, scheduler=scheduler)
    assert said == {Source.INSTITUTION: 2_500}
    assert peers.handed > 1_000
    # Lookups and records; then the forward request and its records, which are read again if no peer answers.
    assert sum(scheduler.sizes) == 2 * 2_500 + 2 * peers.handed


@pytest.mark.parametrize("store", [filled_store(OBSERVED_AT + 60), MemoryStore(lambda: OBSERVED_AT)])
def test_what_there_is_to_say_about_one_subject_is_said_in_one_message(store: MemoryStore) -> None:
    (only,) = responses(message(ACCOUNTS[:1]), store)
    assert len(only.reports) == only.summary.lookups == 1


def test_the_summary_comes_with_the_last_few_reports() -> None:
    first, *_, last = responses(message(ACCOUNTS[:1_100]), filled_store(OBSERVED_AT + 60))
    assert first.reports
    assert not first.HasField("summary")
    assert last.reports
    assert last.summary.lookups == 1_100


def test_many_last_reports_have_a_message_of_their_own() -> None:
    *_, last = responses(message(ACCOUNTS[:1_000]), filled_store(OBSERVED_AT + 60))
    assert not last.reports
    assert last.summary.lookups == 1_000


@pytest.mark.parametrize("priority", [pb.PRIORITY_INTERACTIVE, pb.PRIORITY_BULK])
def test_what_is_known_does_not_wait_for_what_is_asked(priority: pb.Priority) -> None:
    held = filled_store(OBSERVED_AT + 60)
    request = message(["6222999999", *ACCOUNTS[:2]], priority=priority)
    first, last = responses(request, held)
    assert [report.position for report in first.reports] == [1, 2]
    assert [report.position for report in last.reports] == [0]


def reports_in_dribs_and_drabs(request: pb.InvestigateRequest) -> list[int]:
    """How many reports came in each message, from an institution that answers one inquiry at a time."""
    spec = stub_spec(batch_size=1, concurrency=1)
    said = responses(request, MemoryStore(lambda: OBSERVED_AT), institution=StubInstitution(spec))
    assert sum(len(each.reports) for each in said) == len(request.lookups)
    return [len(each.reports) for each in said]


def test_bulk_reports_wait_for_one_another_and_others_do_not() -> None:
    gathered = reports_in_dribs_and_drabs(message(ACCOUNTS[:60], priority=pb.PRIORITY_BULK))
    assert len(gathered) <= 10, "a message in a tenth of a second"
    assert len(reports_in_dribs_and_drabs(message(ACCOUNTS[:60]))) > 30
    incremental = message(ACCOUNTS[:60], priority=pb.PRIORITY_BULK, delivery=pb.DELIVERY_INCREMENTAL)
    assert len(reports_in_dribs_and_drabs(incremental)) > 30


class Terse(Peers):
    """Another worker that owns half of all subjects, and says all it has to say in its trailer."""

    def __init__(self) -> None:
        super().__init__(Ownership(0, 2))

    async def ask(self, _: int, forward_request: ForwardRequest) -> AsyncIterator[bytes | Trailer]:
        writer = encoding.ReportWriter(dict(zip(forward_request.positions, forward_request.heads, strict=True)))
        segment = encoding.make_segments(SPEC.id, [encoding.content(Outcome.NOT_FOUND)], Source.INSTITUTION)[0]
        reports = [
            writer.report(position, encoding.FINAL + encoding.COMPLETE, segment)
            for position in forward_request.positions
        ]
        tally = Tally(1)
        tally.add(0, bytes([Outcome.NOT_FOUND]) * len(reports), Source.INSTITUTION)
        yield Trailer(b"".join(reports), tally.counts.tobytes(), complete=True)


def test_the_last_reports_of_a_peer_are_passed_on() -> None:
    said = responses(message(ACCOUNTS[:50]), MemoryStore(lambda: OBSERVED_AT), peers=Terse())
    assert sorted(report.position for each in said for report in each.reports) == list(range(50))
    assert said[-1].summary.inquiries == 50


@pytest.mark.parametrize("delivery", [pb.DELIVERY_COMPLETE, pb.DELIVERY_INCREMENTAL])
def test_with_no_time_to_ask_anybody_the_cache_still_answers(delivery: pb.Delivery) -> None:
    stub = StubInstitution(SPEC)
    request = message([*ACCOUNTS[:10], *[f"6222999{n}" for n in range(10)]], delivery=delivery)
    said = responses(request, filled_store(OBSERVED_AT + 60), institution=stub, seconds=-0.01)
    by_position = {report.position: report.answers[0] for each in said for report in each.reports}
    answers = [by_position[position] for position in range(20)]
    assert [int(answer.source) for answer in answers] == [Source.CACHE] * 10 + [Source.BROKER] * 10
    assert [int(answer.outcome) for answer in answers[10:]] == [Outcome.TIMED_OUT] * 10
    assert not said[-1].summary.complete
    assert not stub.questions
