"""The contract as clients in any language meet it: by reflection, and from a copy of proto/ alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from google.type import date_pb2, decimal_pb2, money_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.end_to_end.conftest import Broker

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
SERVICE = "broker.v1.InvestigationService"


def buf(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a tool of the locked environment
        [BUF, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def curl(broker: Broker, method: str, message: object, protocol: str) -> subprocess.CompletedProcess[str]:
    options = ("--protocol", "grpc", "--http2-prior-knowledge", "--reflect-protocol", protocol)
    return buf("curl", *options, "--data", json.dumps(message), f"http://{broker.address}/{method}")


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
def test_a_client_without_the_contract_reads_it_by_reflection(broker: Broker, protocol: str) -> None:
    ended = curl(broker, f"{SERVICE}/ListInstitutions", {}, protocol)
    assert ended.returncode == 0, ended.stderr
    assert "mock-bank" in {one["id"] for one in json.loads(ended.stdout)["institutions"]}


def test_every_service_that_is_listed_can_be_described(broker: Broker) -> None:
    address = f"http://{broker.address}"
    options = ("--protocol", "grpc", "--http2-prior-knowledge")
    services = buf("curl", *options, "--list-services", address).stdout.split()
    assert {f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha")} < set(services)
    ended = buf("curl", *options, "--list-methods", address)
    assert ended.returncode == 0, ended.stderr
    assert {method.partition("/")[0] for method in ended.stdout.split()} == set(services)


@pytest.mark.parametrize("version", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
@pytest.mark.parametrize("message", ["BadRequest", "RetryInfo", "ErrorInfo"])
def test_details_of_errors_are_resolved_by_reflection(broker: Broker, version: str, message: str) -> None:
    with grpc.insecure_channel(broker.address) as channel:
        ask = channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"google.rpc.{message}")
        (response,) = ask(iter([request]), timeout=30)
    files = map(descriptor_pb2.FileDescriptorProto.FromString, response.file_descriptor_response.file_descriptor_proto)
    assert message in {one.name for file in files for one in file.message_type}


def test_a_copy_of_proto_alone_builds(tmp_path: Path) -> None:
    copy = tmp_path / "contracts"
    shutil.copytree(ROOT / "proto", copy)
    for command in (("lint",), ("build", "--output", "/dev/null")):
        ended = buf(*command, cwd=copy)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    files = [str(path.relative_to(copy)) for path in copy.rglob("*.proto")]
    (tmp_path / "out").mkdir()
    command_line = [sys.executable, "-m", "grpc_tools.protoc", f"-I{copy}", f"--python_out={tmp_path / 'out'}", *files]
    subprocess.run(command_line, timeout=60, check=True)  # noqa: S603 - a tool of the locked environment


@pytest.mark.parametrize("module", [date_pb2, decimal_pb2, money_pb2, error_details_pb2, status_pb2])
def test_the_copies_of_googles_types_are_the_same_messages(module: Any) -> None:
    name = module.DESCRIPTOR.name
    ended = buf("build", "proto", "--path", f"proto/{name}", "--output", "-#format=json")
    assert ended.returncode == 0, ended.stderr
    (file,) = [file for file in json.loads(ended.stdout)["file"] if file["name"] == name]
    copied = {message["name"]: fields(message) for message in file["messageType"]}
    ours = module.DESCRIPTOR.message_types_by_name.items()
    assert copied == {name: [(one.name, one.number) for one in message.fields] for name, message in ours}


def fields(message: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["name"], one["number"]) for one in message.get("field", ())]
