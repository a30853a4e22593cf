"""Clients as any gRPC library makes them, without retries: replacing workers one by one must fail none of their calls.

Each asks over and over again until the context is left, and then says which calls failed.
"""

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.end_to_end.stubs.toolchain import BIN, HERE, ROOT, node_folder

_SECONDS = 60.0
_CLIENTS = 3


@contextmanager
def node_clients(folder: Path, address: str, request: pb.InvestigateRequest) -> Iterator[None]:
    """Clients in Node, in a new folder."""
    folder.mkdir()
    node_folder(folder)
    program = folder / "rolling_client.mjs"
    program.write_bytes((HERE / program.name).read_bytes())
    command = [str(BIN / "node"), str(program), address, str(ROOT / "proto"), str(_CLIENTS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        message = json_format.MessageToDict(request, preserving_proto_field_name=True)
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"
        yield
        printed, _ = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
        process.wait()
    said = json.loads(printed)
    assert (said["failures"], said["missing"]) == ([], 0)
    assert said["answered"] > _CLIENTS


@contextmanager
def blocking_clients(address: str, request: pb.InvestigateRequest) -> Iterator[None]:
    """Clients in Python, with the stubs that block."""
    is_over, answered, failures = threading.Event(), [0] * _CLIENTS, []

    def keep_asking(number: int) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub: Any = InvestigationServiceStub(channel)  # type: ignore[no-untyped-call]
            while not is_over.is_set():
                try:
                    responses: Sequence[pb.InvestigateResponse] = list(stub.Investigate(request, timeout=_SECONDS))
                    assert sum(len(response.reports) for response in responses) == len(request.lookups)
                    answered[number] += 1
                except (grpc.RpcError, AssertionError) as error:
                    failures.append(error)

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert all(answered)
