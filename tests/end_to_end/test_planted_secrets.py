"""No subject's name or number stays anywhere: whatever becomes of a request, and however a worker ends.

A broker as operators run it, with mutual TLS, a policy, quotas, the audit log and the cache, is asked about marked
people: what is valid and found, what is invalid, refused, over quota; while institutions fail in many ways; and while
workers die of SIGSEGV, SIGABRT and SIGKILL with requests in flight. Then every file there is, every line that was
written, every error that was told, and all metrics are searched for the people.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from broker.demo.certificates import Certificates
from broker.demo.testbed import configuration
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from mock_institutions.population import Lookup
from tests.end_to_end.conftest import SEED, Program
from tests.end_to_end.strays import NAME, NUMBER, forms_of, traces
from tests.end_to_end.test_stray_bytes import with_descendants
from tests.end_to_end.testbed import asking, person, run, sample

COURT = "最高法"
KNOWN = sample(25)
QUOTA = 150
TOO_MANY = sample(2 * QUOTA, rng_seed=9)
ASKED_WHILE_FAILING = [sample(5, rng_seed=20 + number) for number in range(3)]
ASKED_WHILE_DYING = [[sample(3, rng_seed=40 + 8 * crash + each) for each in range(8)] for crash in range(2)]
SOUGHT = [*KNOWN, *TOO_MANY[:5], *chain(*ASKED_WHILE_FAILING), *chain(*(asked[0] for asked in ASKED_WHILE_DYING))]
"""Some of each, since each of them is sought in dozens of forms in every file."""
FORMS = frozenset(
    form
    for name, number in [(NAME, NUMBER), *((each.name, each.number) for each in SOUGHT)]
    for form in forms_of(number, name)
)
"""Of the planted person, and of people whom the mock institutions know."""
FAULTS = (
    ("error", "garbage", "truncated", "broken_off"),
    ("surplus_item", "missing_item", "wrong_request_id", "refusal"),
    ("reset", "redirect", "oversized", "gzip_bomb"),
)
CRASHES = ((signal.SIGSEGV, signal.SIGABRT), (signal.SIGKILL,))  # of both workers at once, and of one
SHORT = 1.0  # s for requests to institutions that fail
LONG = 60.0  # s until something hangs
POLICY_RULE = 'courts = ["最高法"]'
PLANTED = person("planted", NAME, NUMBER)


@dataclass
class Broker:
    """The running broker, and what it has said to callers and operators."""

    program: Program
    certificates: Certificates
    http: aiohttp.ClientSession
    urls: dict[str, str]
    said: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def service(self, caller: str = "gateway") -> AsyncIterator[Any]:
        """A new connection, to whichever worker."""
        folder = self.certificates.folder
        credentials = grpc.ssl_channel_credentials(
            (folder / "ca.pem").read_bytes(),
            (folder / f"{caller}-key.pem").read_bytes(),
            (folder / f"{caller}.pem").read_bytes(),
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(self.program.said["grpc"], credentials, options) as channel:
            yield InvestigationServiceStub(channel)  # type: ignore[no-untyped-call]

    async def ask(self, request: pb.InvestigateRequest, *, caller: str = "gateway", seconds: float = LONG) -> str:
        """The status of the call. What an error tells is kept."""
        async with self.service(caller) as service:
            try:
                async for _ in service.Investigate(request, timeout=seconds):
                    pass
            except grpc.aio.AioRpcError as error:
                self.said.append(f"{error.details()} {error.debug_error_string()} {error.trailing_metadata()!r}")
                return str(error.code().name)
            return "OK"

    async def break_down(self, *faults: str) -> None:
        """Gives each institution one of these faults, or none."""
        for place, url in enumerate(self.urls.values()):
            content = {faults[place % len(faults)]: 1} if faults else {}
            async with self.http.post(f"{url}/faults", json=content) as response:
                assert response.status == 200

    async def calls(self) -> int:
        total = 0
        for url in self.urls.values():
            async with self.http.get(f"{url}/stats") as response:
                total += (await response.json())["calls"]
        return total

    async def note_state(self) -> None:
        """Keeps the metrics, and what every user of the host can see of the processes."""
        for worker in self.program.said["workers"]:
            async with aiohttp.ClientSession() as http, http.get(f"http://{worker['metrics']}/metrics") as response:
                self.said.append(await response.text())
        self.said += seen_by_everybody(self.program)


def seen_by_everybody(program: Program) -> Iterator[str]:
    """The command lines of its processes, and the names of all sockets of the host."""
    for pid in with_descendants(program.process.pid):
        yield Path(f"/proc/{pid}/cmdline").read_text()
    yield Path("/proc/net/unix").read_text()


def about(lookups: list[Lookup], **fields: Any) -> pb.InvestigateRequest:
    return asking([*lookups, PLANTED], court=COURT, **fields)


def invalid_lookups() -> pb.InvestigateRequest:
    """Marked data wherever a lookup has room for it, and wrong in as many ways."""
    lookups = [
        person(NUMBER, NAME, NUMBER[:-1] + "0"),
        person("ref", NAME + "\u200b", NUMBER),
        person("ref", NAME * 40, NUMBER),
        person("", NAME, NUMBER),
        person(NAME * 20, NAME, NUMBER),
        person("ref", NAME, NUMBER, 2),
        person("ref", NUMBER, NAME),
        pb.Lookup(ref="code", organization=pb.Organization(name=NAME, code=NUMBER)),
        *(
            pb.Lookup(ref="thing", property=pb.Property(**{kind: f"{NAME} {NUMBER}"}))
            for kind in ("vehicle_plate", "vehicle_vin", "real_estate_unit", "bank_account", "securities_account")
        ),
    ]
    return asking([*lookups, person("bytes", NAME, NUMBER)], court=COURT)


def undecodable() -> bytes:
    """A request with a lookup that is not UTF-8 beside marked data."""
    encoded = invalid_lookups().SerializeToString()
    return encoded.replace(b"bytes", b"\xff\xfe\xff\xfe\xff")


def invalid_requests() -> Iterator[pb.InvestigateRequest]:
    """Marked numbers in each of the texts of a request."""
    for name in ("court_code", "officer", "case_number", "legal_document"):
        request = about([])
        setattr(request.mandate, name, NUMBER)
        yield request
    yield about([], request_id=f"{NUMBER} {NAME}")
    yield about([], institution_ids=[NUMBER, NAME])
    yield about([], request_id=NAME * 200)


async def everything(broker: Broker) -> None:
    """Every way that a request can go."""
    assert await broker.ask(about(KNOWN)) == "OK"
    assert await broker.ask(about(KNOWN, delivery=pb.DELIVERY_INCREMENTAL)) == "OK", "from the cache"
    assert await broker.ask(invalid_lookups()) == "OK"
    statuses = [await broker.ask(request) for request in invalid_requests()]
    assert "INVALID_ARGUMENT" in statuses
    assert await broker.ask(about(KNOWN), caller="operator") == "PERMISSION_DENIED"
    assert await broker.ask(about(TOO_MANY)) == "RESOURCE_EXHAUSTED"
    async with broker.service() as service:
        call = service.Investigate  # as bytes that no message can be
        call._request_serializer = lambda raw: raw
        async for _ in call(undecodable(), timeout=LONG):
            pass
    await broker.note_state()


async def while_institutions_fail(broker: Broker) -> None:
    for faults, asked in zip(FAULTS, ASKED_WHILE_FAILING, strict=True):
        await broker.break_down(*faults)
        request = about(asked)
        request.max_age.seconds = 0
        assert await broker.ask(request, seconds=SHORT) in ("OK", "DEADLINE_EXCEEDED")
    await broker.note_state()


async def while_workers_die(broker: Broker) -> None:
    """Workers die with requests in flight; others follow."""
    await broker.break_down("hang")
    for crashes, asked in zip(CRASHES, ASKED_WHILE_DYING, strict=True):
        before, victims = await broker.calls(), workers(broker.program)
        async with asyncio.TaskGroup() as group:
            for lookups in asked:
                request = about(lookups)
                request.max_age.seconds = 0
                group.create_task(broker.ask(request, seconds=SHORT))
            while await broker.calls() == before:
                pass
            for pid, crash in zip(victims, crashes, strict=False):
                os.kill(pid, crash)
        while await broker.ask(about(KNOWN), seconds=SHORT) != "OK":  # from the cache, once others follow
            pass
    await broker.break_down()


def workers(program: Program) -> list[int]:
    return [pid for pid in with_descendants(program.process.pid) if is_worker(pid)]


def is_worker(pid: int) -> bool:
    return b"\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


def found(folder: Path) -> dict[str, set[str]]:
    """The files that hold marked data, or have it in their name, with the forms in which they do."""
    paths = {path: str(path.relative_to(folder)) for path in folder.rglob("*")}
    contents = {name: path.read_bytes() if path.is_file() else b"" for path, name in paths.items()}
    texts = {name: name + content.decode("utf-8", "surrogateescape") for name, content in contents.items()}
    return {name: forms for name, text in texts.items() if (forms := traces(text, FORMS))}


def test_what_is_searched_for_is_found(tmp_path: Path) -> None:
    """Else the test below could not fail."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "core").write_bytes(bytes(99) + KNOWN[0].name.encode() + bytes(99))
    (tmp_path / "deep" / "clean").write_bytes(bytes(99))
    (tmp_path / f"{KNOWN[1].number}.tmp").touch()
    assert set(found(tmp_path)) == {"deep/core", f"{KNOWN[1].number}.tmp"}
    assert traces(f"no {NAME}", FORMS)


def test_nothing_of_those_who_are_asked_about_stays_anywhere(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, others = tmp_path_factory.mktemp("b"), tmp_path_factory.mktemp("m")
    certificates = Certificates.make(folder / "certs")
    policy = folder / "certs" / "policy.toml"
    policy.write_text(policy.read_text().replace(POLICY_RULE, f"{POLICY_RULE}\nquotas = {{case = {QUOTA}}}"))
    arguments = ("--port-base", "0", "--seed", str(SEED), "--tls", str(certificates.folder))
    mocks = Program("mock_institutions", "serve", *arguments, folder=others)
    try:
        urls = mocks.said["institutions"]
        (folder / "broker.toml").write_text(configuration(folder, urls, certificates), encoding="utf-8")
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setenv("PYTHONFAULTHANDLER", "1")  # a crash says where it was
        program = Program("broker", "serve", "--config", "broker.toml", "--workers", "2", folder=folder)
        said: list[str] = []

        async def scenario() -> None:
            connector = aiohttp.TCPConnector(ssl=certificates.towards_institutions())
            async with aiohttp.ClientSession(connector=connector) as http:
                broker = Broker(program, certificates, http, urls, said)
                await everything(broker)
                await while_institutions_fail(broker)
                await while_workers_die(broker)

        try:
            run(scenario)
        finally:
            code = program.stop()
        assert code == 0, program.log
    finally:
        mocks.stop()
    assert "SIGSEGV" in program.log or "Segmentation fault" in program.log
    assert {line for line in program.log.splitlines() if traces(line, FORMS)} == set()
    assert {text[:300] for text in [*said, program.printed] if traces(text, FORMS)} == set()
    assert (folder / "cache" / "data.mdb").stat().st_size, "there is something to search"
    assert list((folder / "audit").rglob("*.journal"))
    assert found(folder) == {}
    assert not list(folder.rglob("core*")), "no process leaves a core"
