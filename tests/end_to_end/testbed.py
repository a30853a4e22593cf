"""A broker and mock institutions in one process, used through their interfaces: gRPC and HTTP.

`with_testbed` starts both, runs a scenario, and stops everything. `Testbed.ask` checks what holds for every stream, and
`check_truth` compares answers with recomputed ones.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import aiohttp
import grpc
import msgspec
import pytest
import uvloop
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from broker.access_section import AccessConfig
from broker.audit_section import AuditConfig
from broker.config import Config, ServerConfig, StoreConfig
from broker.model import InstitutionSpec, Kind
from broker.runtime.app import serve
from broker.runtime.worker import Addresses
from broker.tls_section import TlsConfig
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from mock_institutions import config as mock_config
from mock_institutions.population import Lookup, Mix, Population
from mock_institutions.protobuf_dialect import fill
from mock_institutions.server import running

T = TypeVar("T")
NO_TLS = TlsConfig()
ANYBODY = AccessConfig()
PATIENCE = 120.0
"""s until something hangs; a machine with much else to do takes a while."""
DEADLINES = (2.0, 10.0, 50.0)
SERVICE = "broker.v1.InvestigationService"
POPULATION = Population(1)
MOCKS = mock_config.load()
KINDS = {each.id: each.kind for each in MOCKS.institutions}
NATIONAL = ("mock-bank", "mock-real-estate", "mock-securities", "mock-vehicle")
REGIONAL = "mock-bank-jing"
FOUND, NOT_FOUND = inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND
REFUSED, INVALID = inquiry_pb2.OUTCOME_REFUSED, inquiry_pb2.OUTCOME_INVALID
UNAVAILABLE, TIMED_OUT = inquiry_pb2.OUTCOME_UNAVAILABLE, inquiry_pb2.OUTCOME_TIMED_OUT


# --- the testbed ------------------------------------------------------------------------------------------------------


@dataclass
class Reports:
    """What a stream said."""

    reports: list[pb.Report] = field(default_factory=list)
    summary: pb.Summary = field(default_factory=pb.Summary)

    def answers(self) -> dict[int, dict[str, pb.Answer]]:
        """By position and institution; fails if an institution answers a position twice."""
        found: dict[int, dict[str, pb.Answer]] = {}
        for report in self.reports:
            by_institution = found.setdefault(report.position, {})
            for answer in report.answers:
                assert answer.institution_id not in by_institution
                by_institution[answer.institution_id] = answer
        return found

    def outcomes(self) -> Counter[int]:
        return Counter(int(answer.outcome) for report in self.reports for answer in report.answers)

    def sources(self) -> Counter[str]:
        return Counter(
            pb.Source.Name(answer.source).removeprefix("SOURCE_")
            for report in self.reports
            for answer in report.answers
        )


@dataclass(frozen=True)
class Testbed:
    """A running broker with its institutions, and clients of both."""

    __test__: ClassVar[bool] = False  # for pytest, its name begins like that of a class of tests
    addresses: Addresses
    channel: grpc.aio.Channel
    http: aiohttp.ClientSession
    urls: dict[str, str]
    stop: asyncio.Event
    broker: "asyncio.Task[None]"

    @property
    def service(self) -> Any:
        return InvestigationServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def investigate(self, request: pb.InvestigateRequest, *, seconds: float | None = PATIENCE) -> Any:
        return self.service.Investigate(request, timeout=seconds)

    async def ask(self, request: pb.InvestigateRequest, *, seconds: float | None = PATIENCE) -> Reports:
        """The whole stream, which must have the shape every stream has."""
        said = Reports()
        async for response in self.investigate(request, seconds=seconds):
            assert not said.summary.lookups, "something came after the summary"
            said.reports += response.reports
            said.summary = response.summary
        check_shape(request, said)
        return said

    async def ask_until_deadline(self, request: pb.InvestigateRequest, *, answered: int) -> Reports:
        """What is said by a deadline at which an institution still hangs.

        A slow machine gets more time, until so many inquiries are answered beside those that time out.
        """
        for seconds in DEADLINES:
            with suppress(grpc.aio.AioRpcError):  # the stream itself was late
                said = await self.ask(request, seconds=seconds)
                if said.summary.inquiries - said.outcomes()[TIMED_OUT] >= answered:
                    return said
        raise AssertionError(f"{answered} inquiries are not answered within {DEADLINES[-1]} s")

    async def refusal(self, request: pb.InvestigateRequest) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.ask(request)
        return error.value

    async def faults(self, *institutions: str, **faults: Any) -> None:
        """Replaces the faults of these institutions, or of all."""
        for institution in institutions or self.urls:
            async with self.http.post(f"{self.urls[institution]}/faults", json=faults) as response:
                assert response.status == 200

    async def stats(self) -> dict[str, Any]:
        """What all institutions count, together."""
        total: Counter[str] = Counter()
        for url in self.urls.values():
            async with self.http.get(f"{url}/stats") as response:
                total.update({name: count for name, count in (await response.json()).items() if name != "faults"})
        return total

    async def stats_reach(self, name: str, count: int) -> None:
        """Waits until the institutions have counted so many."""
        while (await self.stats())[name] < count:
            pass

    async def metrics_text(self) -> str:
        async with self.http.get(f"http://{self.addresses.metrics}/metrics") as response:
            return await response.text()

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        families = text_string_to_metric_families(await self.metrics_text())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    async def is_idle(self) -> None:
        """Waits until no request is in progress."""
        for name in ("requests_in_flight", "inquiries_in_flight", "lane_queued", "lane_in_flight", "lane_calls"):
            while await self.metric(f"broker_{name}"):
                pass

    async def health(self, service: str = "") -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        return int((await health_pb2_grpc.HealthStub(self.channel).Check(request)).status)


@asynccontextmanager
async def open_testbed(
    folder: Path,
    *,
    server: dict[str, Any] | None = None,
    grpc_options: Sequence[Any] = (),
    tls: TlsConfig = NO_TLS,
    access: AccessConfig = ANYBODY,
    credentials: grpc.ChannelCredentials | None = None,
    **changes: Any,
) -> AsyncIterator[Testbed]:
    """A testbed; `changes` are fields of every `InstitutionSpec`. `credentials`: the caller's, if there is TLS."""
    async with running(MOCKS.with_ports_from(0)) as urls, aiohttp.ClientSession() as http:
        config = configuration(folder, urls, server or {}, changes)
        config = msgspec.structs.replace(config, tls=tls, access=access)
        stop = asyncio.Event()
        ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
        broker = asyncio.create_task(serve(config, stop=stop, ready=ready.set_result))
        starting: set[asyncio.Future[Any]] = {broker, ready}
        await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
        if broker.done():
            broker.result()
        try:
            async with open_channel((await ready).grpc, credentials, *grpc_options) as channel:
                yield Testbed(ready.result(), channel, http, urls, stop, broker)
        finally:
            await asyncio.gather(*[_clear_faults(http, url) for url in urls.values()])
            stop.set()
            await broker


# Every testbed has channels of its own: connections of an earlier one must not be found in gRPC's pool.
CLIENT_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 << 20)]


def open_channel(address: str, credentials: grpc.ChannelCredentials | None, *options: Any) -> grpc.aio.Channel:
    """A channel with connections of its own."""
    chosen = [*CLIENT_OPTIONS, *options]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=chosen)
    return grpc.aio.secure_channel(address, credentials, options=chosen)


async def _clear_faults(http: aiohttp.ClientSession, url: str) -> None:
    async with http.post(f"{url}/faults", json={}):
        pass


def configuration(folder: Path, urls: dict[str, str], server: dict[str, Any], changes: dict[str, Any]) -> Config:
    specs: dict[str, Any] = {
        "batch_size": 200,
        "concurrency": 8,
        "rate": 1e6,
        "timeout": 5.0,
        "found_ttl": 3600.0,
        "not_found_ttl": 900.0,
    }
    return Config(
        server=ServerConfig(
            **{
                "listen": "127.0.0.1:0",
                "metrics": "127.0.0.1:0",
                "max_connection_age": 0.3,
                "grace_period": 10.0,
                **server,
            }
        ),
        store=StoreConfig(path=str(folder / "cache"), key_file=str(folder / "broker.key"), map_size=256 << 20),
        audit=AuditConfig(path=str(folder / "audit"), key_file=str(folder / "audit.key")),
        institutions=tuple(
            InstitutionSpec(
                id=each.id,
                name=each.name,
                kind=Kind[each.kind.upper()],
                region=each.region or None,
                dialect="json" if place % 2 else "protobuf",
                url=f"{urls[each.id]}/v1/inquiries",
                **{**specs, **changes},
            )
            for place, each in enumerate(MOCKS.institutions)
        ),
    )


def run(main: Callable[[], Awaitable[T]], *, seconds: float = PATIENCE) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


def with_testbed(folder: Path, scenario: Callable[[Testbed], Awaitable[T]], **options: Any) -> T:
    async def main() -> T:
        async with open_testbed(folder, **options) as opened:
            return await scenario(opened)

    return run(main)


# --- requests ---------------------------------------------------------------------------------------------------------


def mandate(court: str = "沪0101") -> inquiry_pb2.Mandate:
    return inquiry_pb2.Mandate(
        court_code=court,
        officer="王法官",
        case_number=f"（2026）{court}执123号",
        legal_document=f"（2026）{court}执123号裁定书",
    )


def sample(count: int, *, rng_seed: int = 1, mix: Mix = "persons") -> list[Lookup]:
    return list(POPULATION.sample(count, rng_seed, mix, [each.institution for each in MOCKS.institutions]))


def asking(lookups: Iterable[Lookup | pb.Lookup], *, court: str = "沪0101", **fields: Any) -> pb.InvestigateRequest:
    return pb.InvestigateRequest(
        mandate=mandate(court),
        lookups=[each if isinstance(each, pb.Lookup) else as_message(each) for each in lookups],
        **fields,
    )


def as_message(lookup: Lookup) -> pb.Lookup:
    if lookup.type == "RESIDENT_ID":
        return person(lookup.ref, lookup.name, lookup.number)
    if lookup.type == "ORGANIZATION_CODE":
        return pb.Lookup(ref=lookup.ref, organization=pb.Organization(name=lookup.name, code=lookup.number))
    return pb.Lookup(ref=lookup.ref, property=pb.Property(**{lookup.type.lower(): lookup.number}))


def person(ref: str, name: str, number: str, document_type: Any = 1) -> pb.Lookup:
    return pb.Lookup(ref=ref, person=pb.Person(name=name, document_type=document_type, document_number=number))


def check_shape(request: pb.InvestigateRequest, said: Reports) -> None:
    """What holds of every whole stream."""
    final = [report.position for report in said.reports if report.final]
    assert sorted(final) == list(range(len(request.lookups))), "every lookup gets one final report"
    assert all(report.ref == request.lookups[report.position].ref for report in said.reports)
    assert all(
        [answer.institution_id for answer in report.answers]
        == sorted(answer.institution_id for answer in report.answers)
        for report in said.reports
    )
    conclusive = {FOUND, NOT_FOUND, REFUSED, INVALID}
    for report in said.reports:
        if report.final and request.delivery != pb.DELIVERY_INCREMENTAL:
            assert report.complete == all(answer.outcome in conclusive for answer in report.answers)
    summary, answers = said.summary, said.answers()
    assert summary.lookups == len(request.lookups)
    assert summary.inquiries == sum(map(len, answers.values()))
    assert {count.outcome: count.count for count in summary.outcomes} == said.outcomes()
    counted = {pb.Source.Name(count.source).removeprefix("SOURCE_"): count.count for count in summary.sources}
    assert counted == said.sources()
    assert summary.complete == all(report.complete for report in said.reports if report.final)
    failing = {
        answer.institution_id
        for by_institution in answers.values()
        for answer in by_institution.values()
        if answer.outcome in (UNAVAILABLE, TIMED_OUT)
    }
    assert list(summary.unavailable_institution_ids) == sorted(failing)


def institutions_for(lookup: Lookup, court_region: str | None = None) -> set[str]:
    """Whom a court of a region asks about a lookup."""
    reached = {*NATIONAL, REGIONAL} if court_region == "京" else set(NATIONAL)
    kinds = {
        "VEHICLE_PLATE": "vehicle",
        "VEHICLE_VIN": "vehicle",
        "REAL_ESTATE_UNIT": "real_estate",
        "BANK_ACCOUNT": "bank",
        "SECURITIES_ACCOUNT": "securities",
    }
    kind = kinds.get(lookup.type)
    return {each for each in reached if kind is None or KINDS[each] == kind}


def check_truth(lookups: Sequence[Lookup], said: Reports) -> int:
    """Recomputes every FOUND and NOT_FOUND. Returns how many there were."""
    checked = 0
    for position, by_institution in said.answers().items():
        _, subject_type, number, name = lookups[position]
        for institution_id, answer in by_institution.items():
            if answer.outcome in (FOUND, NOT_FOUND):
                truth = POPULATION.answer(MOCKS.find(institution_id).institution, subject_type, number, name)
                assert inquiry_pb2.Outcome.Name(answer.outcome) == f"OUTCOME_{truth.outcome}"
                assert list(answer.assets) == [_asset(asset) for asset in truth.assets]
                checked += 1
    return checked


def _asset(record: Any) -> asset_pb2.Asset:
    message = asset_pb2.Asset()
    fill(message, record)
    return message


def violations(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields a refusal names."""
    (packed,) = details(error)
    request = error_details_pb2.BadRequest()
    assert packed.Unpack(request)
    assert all(violation.description for violation in request.field_violations)
    return [violation.field for violation in request.field_violations]


def details(error: grpc.aio.AioRpcError) -> Sequence[Any]:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return list(status.details)
