"""TypeScript: two generators make stubs from a copy of proto/ alone, and clients made of them use a real broker."""

import base64
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.end_to_end.conftest import Broker, Mocks, StartBroker
from tests.end_to_end.documents import block_with
from tests.end_to_end.stubs.toolchain import HERE, contract_copy, node_folder, run

CLIENTS = ("grpc_js_client", "connect_client")
SECONDS = 60
ANSWERED = {inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clients, compiled with full type checks."""
    folder = node_folder(tmp_path_factory.mktemp("typescript"))
    contract_copy(folder)
    for name in ("package.json", "tsconfig.json", *(f"{client}.ts" for client in CLIENTS)):
        shutil.copy(HERE / name, folder)
    (folder / "buf.gen.yaml").write_text(block_with("docs/api.md", "yaml", "protoc-gen-es"))
    (folder / "investigate.ts").write_text(block_with("docs/api.md", "ts", "createGrpcTransport"))
    run("buf", "generate", "proto", cwd=folder)
    run("tsc", cwd=folder)
    return folder / "js"


@pytest.fixture(params=CLIENTS)
def client(compiled: Path, request: pytest.FixtureRequest) -> "Client":
    return Client(compiled / f"{request.param}.js")


class Client:
    """One of the two clients. Each call is a process of its own."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def investigate(self, broker: Broker, request: pb.InvestigateRequest, *, seconds: float = SECONDS) -> Any:
        """The status code, the details of an error, and the responses, encoded."""
        encoded = base64.b64encode(request.SerializeToString()).decode()
        arguments = (broker.address, f"{seconds * 1000:.0f}", encoded)
        return json.loads(run("node", str(self._program), *arguments, cwd=self._program.parent))


@pytest.fixture
def asking(people: Sequence[dict[str, str]]) -> pb.InvestigateRequest:
    """A request about twenty people."""
    mandate = inquiry_pb2.Mandate(
        court_code="沪0101", officer="王法官", case_number="（2026）沪0101执123号", legal_document="裁定书"
    )
    lookups = [
        pb.Lookup(
            ref=str(position),
            person=pb.Person(
                name=one["name"], document_type="DOCUMENT_TYPE_RESIDENT_ID", document_number=one["number"]
            ),
        )
        for position, one in enumerate(people)
    ]
    return pb.InvestigateRequest(mandate=mandate, lookups=lookups)


def joined(responses: Iterable[pb.InvestigateResponse]) -> pb.InvestigateResponse:
    """All reports in order, and the summary without what differs from call to call."""
    whole = pb.InvestigateResponse()
    for response in responses:
        whole.MergeFrom(response)
    whole.reports.sort(key=lambda report: report.position)
    for field in ("elapsed", "receipt"):  # which are other ones for each request
        whole.summary.ClearField(field)
    return whole


def test_a_batch_is_the_same_as_in_python(client: Client, broker: Broker, asking: pb.InvestigateRequest) -> None:
    asking.request_id = "batch"
    with grpc.insecure_channel(broker.address) as channel:
        stub = InvestigationServiceStub(channel)  # type: ignore[no-untyped-call]
        list(stub.Investigate(asking, timeout=SECONDS))  # afterwards, all answers are in the cache
        expected = joined(stub.Investigate(asking, timeout=SECONDS))
    result = client.investigate(broker, asking)
    assert result["code"] == 0
    said = joined(pb.InvestigateResponse.FromString(base64.b64decode(one)) for one in result["responses"])
    assert said == expected
    assert len(said.reports) == said.summary.lookups == 20
    assert any(asset for report in said.reports for answer in report.answers for asset in answer.assets)


def test_a_refusal_names_the_fields(client: Client, broker: Broker, asking: pb.InvestigateRequest) -> None:
    asking.mandate.officer = ""
    asking.max_age.seconds = -1
    result = client.investigate(broker, asking)
    assert (result["code"], result["responses"]) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], [])
    assert set(result["violations"]) == {"mandate.officer", "max_age"}
    assert all(result["violations"].values())


def test_the_deadline_and_the_time_to_come_back_are_read(
    compiled: Path, asking: pb.InvestigateRequest, mocks: Mocks, start_broker: StartBroker
) -> None:
    broker = start_broker(workers=1, max_inquiries_in_flight=2)  # room for one request
    with mocks.faults("mock-bank", hang=1):
        for name in CLIENTS:
            client = Client(compiled / f"{name}.js")
            unanswered = unanswered_at_the_deadline(client, broker, asking)
            assert unanswered == {("mock-bank", inquiry_pb2.OUTCOME_TIMED_OUT)}
            with grpc.insecure_channel(broker.address) as channel:
                asking.delivery = pb.DELIVERY_INCREMENTAL
                stub = InvestigationServiceStub(channel)  # type: ignore[no-untyped-call]
                call = stub.Investigate(asking, timeout=SECONDS)
                next(call)  # it has been admitted, and waits for the bank
                result = client.investigate(broker, asking)
                call.cancel()
            assert (result["code"], result["retryAfter"]) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], 1.0)


def test_the_recipe_prints_answers(compiled: Path, broker: Broker) -> None:
    program = compiled / "investigate.js"
    program.write_text(program.read_text().replace("127.0.0.1:50051", broker.address))
    printed = run("node", str(program), cwd=compiled)
    assert printed.count("debtor-1 mock-") == 5
    assert "5 answers, complete: true" in printed


def unanswered_at_the_deadline(client: Client, broker: Broker, request: pb.InvestigateRequest) -> set[tuple[str, int]]:
    """Institutions without an answer, with their outcomes.

    A slow machine gets more time, in which the others' answers come from the cache, but less than institutions have.
    """
    for seconds in (1, 2, 4):
        result = client.investigate(broker, request, seconds=seconds)
        said = joined(pb.InvestigateResponse.FromString(base64.b64decode(one)) for one in result["responses"])
        answers = [answer for report in said.reports for answer in report.answers]
        unanswered = {(one.institution_id, int(one.outcome)) for one in answers if one.outcome not in ANSWERED}
        if result["code"] == 0 and len(unanswered) == 1:
            break
    assert said.summary.lookups == len(request.lookups)
    return unanswered
