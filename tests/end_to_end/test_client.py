"""The client against a scripted broker over real gRPC, and against random failures without gRPC."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import date
from random import Random
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client import (
    BrokerUnavailableError,
    Client,
    ClientError,
    Investigation,
    Lookup,
    Mandate,
    OutOfTimeError,
    Report,
    RequestRefusedError,
    SubjectType,
    Terms,
    Violation,
    lookup,
    person,
    vehicle_plate,
)
from broker.core.subjects.key import Keyer
from broker.model import Outcome, Source
from broker.serving.lookups import read_lookups
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

T = TypeVar("T")
Behaviour = Callable[[pb.InvestigateRequest, Any], AsyncIterator[pb.InvestigateResponse]]

MANDATE = Mandate(court_code="京0101", officer="张", case_number="（2026）京0101执1号", legal_document="通知书1号")
NUMBER = "110101199001011237"
PATIENCE = 10.0  # s; a test that takes longer hangs


def run(test: Coroutine[Any, Any, T]) -> T:
    async def in_time() -> T:
        async with asyncio.timeout(PATIENCE):
            return await test

    return asyncio.run(in_time())


def people(count: int) -> list[Lookup]:
    """Lookups with equal refs, which can be distinguished only by position."""
    return [person("same", f"n{number}", NUMBER) for number in range(count)]


def names(request: pb.InvestigateRequest) -> list[str]:
    return [one.person.name for one in request.lookups]


def answer(institution: str, outcome: Outcome = Outcome.NOT_FOUND) -> pb.Answer:
    return pb.Answer(institution_id=institution, outcome=f"OUTCOME_{outcome.name}", source=pb.SOURCE_INSTITUTION)


def report(position: int, *answers: pb.Answer, final: bool = True, complete: bool = True) -> pb.InvestigateResponse:
    said = pb.Report(position=position, ref="same", final=final, complete=final and complete, answers=answers)
    return pb.InvestigateResponse(reports=[said])


async def answering(request: pb.InvestigateRequest, _: Any) -> AsyncIterator[pb.InvestigateResponse]:
    for position in range(len(request.lookups)):
        yield report(position, answer("bank"), answer("land"))
    yield pb.InvestigateResponse(summary=pb.Summary(complete=True))


def sending(*responses: pb.InvestigateResponse) -> Behaviour:
    """Sends these responses, and ends with OK."""

    async def behave(*_: Any) -> AsyncIterator[pb.InvestigateResponse]:
        for response in responses:
            yield response

    return behave


def ending(*responses: pb.InvestigateResponse, status: grpc.StatusCode, details: Sequence[Message] = ()) -> Behaviour:
    """Sends these responses, then fails."""

    async def behave(_: pb.InvestigateRequest, context: Any) -> AsyncIterator[pb.InvestigateResponse]:
        for response in responses:
            yield response
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        told = status_pb2.Status(code=status.value[0], details=packed)
        await context.abort(status, "as scripted", (("grpc-status-details-bin", told.SerializeToString()),))

    return behave


def busy(seconds: float) -> Behaviour:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    hint = error_details_pb2.RetryInfo(retry_delay=delay)
    return ending(status=grpc.StatusCode.RESOURCE_EXHAUSTED, details=[hint])


BREAKING = ending(status=grpc.StatusCode.UNAVAILABLE)


class ScriptedBroker:
    """A server with one behaviour per call; the last one is used for all further calls."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours: Sequence[Behaviour] = behaviours
        self.requests: list[pb.InvestigateRequest] = []
        self.peers: set[str] = set()
        self.pauses: list[float] = []
        self.now = 0.0

    async def investigate(self, request: pb.InvestigateRequest, context: Any) -> AsyncIterator[pb.InvestigateResponse]:
        behave = self.behaviours[min(len(self.requests), len(self.behaviours) - 1)]
        self.requests.append(request)
        self.peers.add(context.peer())
        async for response in behave(request, context):
            yield response

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        """Time passes only in pauses."""
        return self.now

    @asynccontextmanager
    async def server(self) -> AsyncIterator[int]:
        """Its port."""
        server = grpc.aio.server()
        method = grpc.unary_stream_rpc_method_handler(
            self.investigate,
            request_deserializer=pb.InvestigateRequest.FromString,
            response_serializer=pb.InvestigateResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler("broker.v1.InvestigationService", {"Investigate": method})
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)

    @asynccontextmanager
    async def client(self, channels: int = 2, clock: Callable[[], float] | None = None) -> AsyncIterator[Client]:
        async with (
            self.server() as port,
            Client(f"127.0.0.1:{port}", channels=channels, pause=self.pause, clock=clock or self.clock) as client,
        ):
            yield client


async def gathered(investigation: Investigation) -> list[Report]:
    async with investigation:
        return [report async for report in investigation]


def investigated(broker: ScriptedBroker, lookups: Sequence[Lookup], terms: Terms) -> list[Report]:
    async def test() -> list[Report]:
        async with broker.client() as client:
            return await gathered(client.investigate(MANDATE, lookups, terms))

    return run(test())


def test_a_large_input_is_split_and_every_position_reported_once() -> None:
    broker = ScriptedBroker(answering)
    reports = investigated(broker, people(25), Terms(batch_size=10))
    assert sorted(len(request.lookups) for request in broker.requests) == [5, 10, 10]
    assert all(request.mandate == MANDATE for request in broker.requests)
    assert sorted(report.position for report in reports) == list(range(25))


def test_terms_reach_the_broker() -> None:
    broker = ScriptedBroker(answering)
    terms = Terms(institutions=("bank",), max_age=1.5, bulk=True, incremental=True, request_id="r1", timeout=None)
    investigated(broker, [vehicle_plate("v", "京A12345")], terms)
    (request,) = broker.requests
    assert list(request.institution_ids) == ["bank"]
    assert request.max_age.ToMilliseconds() == 1500
    assert (request.priority, request.delivery) == (pb.PRIORITY_BULK, pb.DELIVERY_INCREMENTAL)
    assert request.request_id == "r1"


def test_totals_count_the_reports() -> None:
    async def test() -> None:
        async with ScriptedBroker(answering).client() as client:
            investigation = client.investigate(MANDATE, people(3))
            assert not investigation.totals.complete
            await gathered(investigation)
            totals = investigation.totals
            assert (totals.lookups, totals.inquiries, totals.complete) == (3, 6, True)
            assert totals.outcomes == {Outcome.NOT_FOUND: 6}
            assert totals.sources == {Source.INSTITUTION: 6}

    run(test())


def test_no_lookups_no_calls() -> None:
    broker = ScriptedBroker(answering)
    assert investigated(broker, [], Terms()) == []
    assert broker.requests == []


def test_the_number_of_batches_in_flight_is_bounded() -> None:
    """Each call waits for two others, so three are in flight; a fourth would be noticed."""

    async def test() -> None:
        together = asyncio.Barrier(3)
        active: list[int] = [0]
        peak: list[int] = []

        async def meeting(request: pb.InvestigateRequest, context: Any) -> AsyncIterator[pb.InvestigateResponse]:
            active[0] += 1
            peak.append(active[0])
            await together.wait()
            active[0] -= 1
            async for response in answering(request, context):
                yield response

        async with ScriptedBroker(meeting).client() as client:
            await gathered(client.investigate(MANDATE, people(6), Terms(batch_size=1, concurrency=3)))
        assert max(peak) == 3

    run(test())


def test_each_channel_has_its_own_connection() -> None:
    async def test() -> None:
        broker = ScriptedBroker(answering)
        async with broker.client(channels=3) as client:
            await gathered(client.investigate(MANDATE, people(6), Terms(batch_size=1)))
        assert len(broker.peers) == 3

    run(test())


@pytest.mark.parametrize(
    "status",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED],
)
def test_after_a_failure_only_open_lookups_are_sent_again(status: grpc.StatusCode) -> None:
    broken = ending(report(3, answer("bank")), report(0, answer("bank")), status=status)
    broker = ScriptedBroker(broken, answering)
    reports = investigated(broker, people(5), Terms())
    assert [names(request) for request in broker.requests] == [["n0", "n1", "n2", "n3", "n4"], ["n1", "n2", "n4"]]
    assert [report.position for report in reports] == [3, 0, 1, 2, 4]


def test_a_stream_that_ends_early_is_a_failure() -> None:
    broker = ScriptedBroker(sending(report(1, answer("bank"))), answering)
    assert len(investigated(broker, people(3), Terms())) == 3
    assert names(broker.requests[1]) == ["n0", "n2"]


@pytest.mark.parametrize("said", [[report(7)], [report(0), report(0)]])
def test_a_report_on_a_lookup_that_is_not_open_is_a_failure(said: list[pb.InvestigateResponse]) -> None:
    broker = ScriptedBroker(sending(*said), answering)
    assert sorted(report.position for report in investigated(broker, people(2), Terms())) == [0, 1]
    assert len(broker.requests) == 2


def test_losing_only_the_summary_is_not_a_failure() -> None:
    broker = ScriptedBroker(ending(report(0), status=grpc.StatusCode.UNAVAILABLE))
    assert len(investigated(broker, people(1), Terms())) == 1
    assert len(broker.requests) == 1


def test_an_answer_is_not_delivered_twice() -> None:
    told = [
        report(0, answer("bank"), final=False),
        report(1, answer("bank", Outcome.UNAVAILABLE), final=False),
        report(2, answer("bank"), final=False),
        report(2, answer("land")),
    ]
    again = [report(position, answer("bank"), answer("land")) for position in (0, 1)]
    broker = ScriptedBroker(ending(*told, status=grpc.StatusCode.UNAVAILABLE), sending(*again))
    reports = investigated(broker, people(3), Terms(incremental=True))
    given_answers = Counter((one.position, said.institution_id) for one in reports for said in one.answers)
    assert given_answers == {(place, name): 1 for place in range(3) for name in ("bank", "land")}
    assert {one.position: one.complete for one in reports if one.final} == {0: True, 1: False, 2: True}


def test_an_overloaded_broker_gets_the_pause_it_asks_for() -> None:
    broker = ScriptedBroker(busy(2.5), busy(0.25), answering)
    investigated(broker, people(1), Terms())
    longer, shorter = broker.pauses
    assert 2.5 <= longer <= 3.0
    assert 0.25 <= shorter <= 0.3


async def all_of(investigation: Investigation) -> tuple[list[Report], ClientError | None]:
    """The reports, and the error after them."""
    reports = []
    async with investigation:
        try:
            async for one in investigation:
                reports.append(one)  # noqa: PERF401 - those before the error count
        except ClientError as error:
            return reports, error
    return reports, None


def test_a_pause_ends_at_the_time_limit_at_the_latest() -> None:
    async def test() -> None:
        broker = ScriptedBroker(busy(60))
        async with broker.client() as client:
            reports, error = await all_of(client.investigate(MANDATE, people(1), Terms(timeout=30)))
        assert broker.pauses == [30]
        assert isinstance(error, BrokerUnavailableError)  # not a single report has ever arrived
        assert error.retry_after == 60
        assert [one.answers[0].outcome for one in reports] == [inquiry_pb2.OUTCOME_TIMED_OUT]

    run(test())


def test_at_the_time_limit_every_open_lookup_is_reported_also_if_it_was_never_sent() -> None:
    async def test() -> None:
        broker = ScriptedBroker(ending(report(1, answer("bank")), status=grpc.StatusCode.UNAVAILABLE), BREAKING)
        async with broker.client() as client:
            lookups = (person(f"ref-{number}", "n", NUMBER) for number in range(10))
            terms = Terms(timeout=3, batch_size=2, concurrency=1)
            reports, error = await all_of(client.investigate(MANDATE, lookups, terms))
        assert isinstance(error, OutOfTimeError)
        assert "the last failure was UNAVAILABLE" in str(error)
        assert sorted(one.position for one in reports) == list(range(10))
        late = [one for one in reports if one.position != 1]
        assert [one.ref for one in sorted(late, key=lambda one: one.position)] == [
            "ref-0",
            *(f"ref-{n}" for n in range(2, 10)),
        ]
        for one in late:
            assert (one.final, one.complete) == (True, False)
            assert [said.outcome for said in one.answers] == [inquiry_pb2.OUTCOME_TIMED_OUT]

    run(test())


def test_calls_are_repeated_until_the_time_limit_with_jitter() -> None:
    broker = ScriptedBroker(*[BREAKING] * 12, answering)  # a restart that takes long
    assert len(investigated(broker, people(1), Terms(timeout=600))) == 1
    assert len(broker.requests) == 13
    assert len(broker.pauses) == len(set(broker.pauses)) == 12


def test_without_a_time_limit_an_outage_ends_the_investigation() -> None:
    broker = ScriptedBroker(BREAKING)
    with pytest.raises(BrokerUnavailableError) as caught:
        investigated(broker, people(1), Terms(timeout=None, max_outage=20))
    assert 20 <= broker.now <= 25
    assert caught.value.code == "UNAVAILABLE"
    assert NUMBER not in f"{caught.value!r} {caught.value}"


def test_without_a_time_limit_an_investigation_goes_on_as_long_as_it_progresses() -> None:
    one_each = ending(report(0, answer("bank")), status=grpc.StatusCode.UNAVAILABLE)
    broker = ScriptedBroker(*[one_each, busy(15)] * 40)
    assert len(investigated(broker, people(40), Terms(timeout=None, max_outage=20))) == 40
    assert broker.now > 300


def test_what_an_institution_takes_is_no_outage() -> None:
    """Calls break that have waited for a slow institution, one restart after the other: each was open all the time."""
    broker = ScriptedBroker()

    async def break_late(_: pb.InvestigateRequest, context: Any) -> AsyncIterator[pb.InvestigateResponse]:
        broker.now += 300
        await context.abort(grpc.StatusCode.UNAVAILABLE, "as scripted")
        yield report(0)

    broker.behaviours = [break_late, BREAKING, break_late, BREAKING, answering]
    assert len(investigated(broker, people(1), Terms(timeout=None, max_outage=120))) == 1


def test_without_a_time_limit_a_batch_may_take_as_long_as_the_broker_allows() -> None:
    """To a call without a deadline the broker gives its default, in which a slow institution answers but a part."""
    limits: list[float] = []

    async def noting(request: pb.InvestigateRequest, context: Any) -> AsyncIterator[pb.InvestigateResponse]:
        limits.append(context.time_remaining())
        async for response in answering(request, context):
            yield response

    investigated(ScriptedBroker(noting), people(2), Terms(timeout=None, batch_size=1))
    assert min(limits) > 3_600
    assert len(limits) == 2


class VanishingHost:
    """A proxy that passes everything on, until its host is gone without a word."""

    def __init__(self) -> None:
        self.is_gone = False

    @asynccontextmanager
    async def before(self, port: int) -> AsyncIterator[int]:
        """Its own port, in front of this one."""
        async with asyncio.TaskGroup() as pumps:

            async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                behind = await asyncio.open_connection("127.0.0.1", port)
                pumps.create_task(self._pump(reader, behind[1]))
                pumps.create_task(self._pump(behind[0], writer))

            async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
                yield server.sockets[0].getsockname()[1]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while part := await reader.read(4096):
                if not self.is_gone:
                    writer.write(part)
        writer.close()


def test_a_host_that_vanishes_is_noticed() -> None:
    async def test() -> None:
        host, begun = VanishingHost(), asyncio.Event()

        async def silent(*_: Any) -> AsyncIterator[pb.InvestigateResponse]:
            begun.set()
            await asyncio.Event().wait()
            yield report(0)

        broker = ScriptedBroker(silent)
        async with (
            broker.server() as port,
            host.before(port) as proxy,
            Client(f"127.0.0.1:{proxy}", keepalive=0.1) as client,
        ):
            investigation = client.investigate(MANDATE, people(1), Terms(timeout=None, retry=False))
            reading = asyncio.create_task(all_of(investigation))
            await begun.wait()
            host.is_gone = True
            reports, error = await reading
        assert not reports
        assert isinstance(error, BrokerUnavailableError)

    run(test())


def test_calls_need_not_be_repeated() -> None:
    broker = ScriptedBroker(BREAKING)
    with pytest.raises(BrokerUnavailableError):
        investigated(broker, people(1), Terms(retry=False))
    assert len(broker.requests) == 1


def test_a_failure_that_looks_permanent_is_not_repeated_for_ever() -> None:
    broker = ScriptedBroker(ending(status=grpc.StatusCode.INTERNAL))
    with pytest.raises(BrokerUnavailableError):
        investigated(broker, people(1), Terms(timeout=1e6))
    assert len(broker.requests) == 5


def test_an_unreachable_broker_is_unavailable() -> None:
    async def test() -> None:
        broker = ScriptedBroker()
        async with Client("127.0.0.1:1", pause=broker.pause, clock=broker.clock) as client:
            with pytest.raises(BrokerUnavailableError):
                await gathered(client.investigate(MANDATE, people(1), Terms(timeout=None, max_outage=0)))
            with pytest.raises(BrokerUnavailableError):
                await client.health()
            with pytest.raises(BrokerUnavailableError):
                await client.institutions()

    run(test())


def test_a_refusal_names_the_fields_to_correct() -> None:
    field = error_details_pb2.BadRequest.FieldViolation(field="mandate.officer", description="is required")
    details = [error_details_pb2.BadRequest(field_violations=[field])]
    broker = ScriptedBroker(ending(status=grpc.StatusCode.INVALID_ARGUMENT, details=details))
    with pytest.raises(RequestRefusedError) as caught:
        investigated(broker, people(1), Terms())
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.violations == (Violation("mandate.officer", "is required"),)
    assert len(broker.requests) == 1


@pytest.mark.parametrize("status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_refusals_without_details(status: grpc.StatusCode) -> None:
    broker = ScriptedBroker(ending(status=status))
    with pytest.raises(RequestRefusedError) as caught:
        investigated(broker, people(1), Terms())
    assert caught.value.violations == ()
    assert len(broker.requests) == 1


def test_the_time_limit_is_kept() -> None:
    async def waiting(*_: Any) -> AsyncIterator[pb.InvestigateResponse]:
        yield report(0, answer("bank"))
        await asyncio.Event().wait()

    async def test() -> None:
        broker = ScriptedBroker(waiting)
        async with broker.client(clock=time.monotonic) as client:
            investigation = client.investigate(MANDATE, people(4), Terms(timeout=0.2, batch_size=2, concurrency=1))
            reports, error = await all_of(investigation)
        assert isinstance(error, OutOfTimeError)
        assert sorted(one.position for one in reports) == [0, 1, 2, 3]
        assert (investigation.totals.lookups, investigation.totals.complete) == (4, False)
        assert investigation.totals.outcomes == {Outcome.NOT_FOUND: 1, Outcome.TIMED_OUT: 3}
        assert len(broker.requests) == 1

    run(test())


class Patient:
    """A behaviour that sends one report, then waits, and records its cancellation."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def behave(self, *_: Any) -> AsyncIterator[pb.InvestigateResponse]:
        try:
            yield report(0, answer("bank"))
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def leaving_a_context(investigation: Investigation) -> None:
    async with investigation:
        async for _ in investigation:
            break


async def closing(investigation: Investigation) -> None:
    async with aclosing(investigation):
        async for _ in investigation:
            break


async def just_leaving(investigation: Investigation) -> None:
    async for _ in investigation:
        break


async def being_cancelled(investigation: Investigation) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in investigation:
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [leaving_a_context, closing, just_leaving, being_cancelled])
def test_abandoned_calls_are_cancelled(leave: Callable[[Investigation], Awaitable[None]]) -> None:
    async def test() -> None:
        patient = Patient()
        async with ScriptedBroker(patient.behave).client() as client:
            await leave(client.investigate(MANDATE, people(2)))
            await patient.cancelled.wait()

    run(test())


def test_an_investigation_is_iterated_over_once() -> None:
    async def test() -> None:
        async with ScriptedBroker(answering).client() as client:
            investigation = client.investigate(MANDATE, people(1))
            await gathered(investigation)
            with pytest.raises(RuntimeError, match="once"):
                await gathered(investigation)

    run(test())


def test_a_slow_reader_exerts_back_pressure() -> None:
    sent = []

    async def endless(*_: Any) -> AsyncGenerator[pb.InvestigateResponse, None]:
        for position in range(1000):
            sent.append(position)
            yield report(position)

    async def test() -> None:
        async with Investigation(endless, MANDATE, people(1000), Terms(concurrency=1)) as investigation:
            async for _ in investigation:
                for _ in range(100):
                    await asyncio.sleep(0)
                break

    run(test())
    assert len(sent) <= 3


def test_an_error_in_the_callers_lookups_is_raised() -> None:
    def broken() -> Iterator[Lookup]:
        yield from people(1)
        raise LookupError

    async def ask(request: pb.InvestigateRequest, _: float | None) -> AsyncGenerator[pb.InvestigateResponse, None]:
        async for response in answering(request, None):
            yield response

    with pytest.raises(LookupError):
        run(gathered(Investigation(ask, MANDATE, broken(), Terms(batch_size=1, concurrency=1))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Terms(batch_size=0),
        lambda: Terms(concurrency=0),
        lambda: Client("127.0.0.1:1", channels=0),
    ],
)
def test_parameters_that_send_nothing_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make()


@pytest.mark.parametrize("subject_type", SubjectType)
def test_a_lookup_of_any_type_is_read_as_that_type(subject_type: SubjectType) -> None:
    columns = read_lookups(
        [lookup("r", subject_type, "1", "n").SerializeToString()], Keyer(b"k"), today=date(2026, 1, 1)
    )
    assert columns.types == [subject_type]


@settings(deadline=None, max_examples=60)
@given(st.randoms(), st.lists(st.integers(0, 60), max_size=8), st.integers(1, 30), st.integers(1, 12))
def test_each_answer_is_delivered_once_whatever_fails(
    random: Random, breaks: list[int], count: int, batch_size: int
) -> None:
    institutions = ("bank", "land", "securities")

    async def ask(request: pb.InvestigateRequest, _: float | None) -> AsyncGenerator[pb.InvestigateResponse, None]:
        order = [(place, name) for place in range(len(request.lookups)) for name in institutions]
        random.shuffle(order)
        breaks_after = breaks.pop() if breaks else None
        missing = Counter(place for place, _ in order)
        for number, (place, name) in enumerate(order):
            if number == breaks_after:
                raise BrokerUnavailableError("broke", "UNAVAILABLE")
            missing[place] -= 1
            yield report(place, answer(name), final=not missing[place])

    terms = Terms(batch_size=batch_size, concurrency=3, incremental=True, timeout=None)
    reports = run(gathered(Investigation(ask, MANDATE, people(count), terms, pause=ScriptedBroker().pause)))
    assert sorted(one.position for one in reports if one.final) == list(range(count))
    given_answers = Counter((one.position, said.institution_id) for one in reports for said in one.answers)
    assert given_answers == {(place, name): 1 for place in range(count) for name in institutions}
