"""Floods through every door of a running broker: a normal caller beside them is served, and memory stays bounded."""

import socket
import statistics
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from broker.peers.messages import METHOD
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.end_to_end.testbed import asking, sample
from tests.hardening.attacker import Attacker, address_of, connect
from tests.hardening.conftest import Target
from tests.hardening.floods import FLOODS
from tests.http2 import END_HEADERS, END_STREAM, INVESTIGATE, FrameReader, Kind, call_headers, frame, message, opening

PATIENCE = 60.0  # s until a call counts as not served
CALLS = 10  # of the normal caller at least, beside each flood
SLOWER = 50  # times the latency of an idle broker that a flooded one may take; it is 2 to 10 where nothing else runs
LEAST = 0.005  # s; what an idle broker takes is less, and would make the bound depend on the machine
GROWTH = (
    256 * 1024 * 1024
)  # bytes; all floods together send as much, and a worker that kept all would hold several times that
REQUEST = asking(sample(5))


class Caller:
    """A normal caller. State: its channel."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._service = InvestigationServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._channel.close()

    def latency(self) -> float:
        """Seconds that one request takes, which is answered in whole."""
        began = time.perf_counter()
        responses: list[pb.InvestigateResponse] = list(self._service.Investigate(REQUEST, timeout=PATIENCE))
        assert responses[-1].summary.complete
        return time.perf_counter() - began


@pytest.fixture
def caller(target: Target) -> Iterator[Caller]:
    caller = Caller(target.address)
    caller.latency()  # its answers are in the cache from now on
    yield caller
    caller.close()


@pytest.mark.parametrize("name", FLOODS)
def test_a_normal_caller_is_served_beside_a_flood(name: str, target: Target, caller: Caller) -> None:
    idle = max(LEAST, statistics.median(caller.latency() for _ in range(CALLS)))
    before = target.peak_memory()
    flooded: list[float] = []
    with Attacker(address_of(target.address), FLOODS[name]) as attacker:
        while attacker.is_attacking or len(flooded) < CALLS:
            flooded.append(caller.latency())
    assert attacker.taken, "it has been tried"
    assert statistics.median(flooded) < SLOWER * idle
    assert target.peak_memory() - before < GROWTH


def test_all_floods_at_once_at_a_worker_s_own_socket(target: Target, caller: Caller) -> None:
    before = target.peak_memory()
    with ExitStack() as stack:
        attackers = [stack.enter_context(Attacker(target.peer_socket(), flood)) for flood in FLOODS.values()]
        while any(attacker.is_attacking for attacker in attackers):
            caller.latency()
    assert all(attacker.taken for attacker in attackers)
    assert target.peak_memory() - before < GROWTH


def bomb(size: int) -> bytes:
    """So many zeros, as gzip."""
    engine = zlib.compressobj(9, wbits=31)
    return b"".join(engine.compress(bytes(1 << 20)) for _ in range(size >> 20)) + engine.flush()


@pytest.mark.parametrize(("door", "path"), [("grpc", INVESTIGATE), ("peer", METHOD.encode())])
def test_a_compressed_message_is_bounded_by_what_it_becomes(
    door: str, path: bytes, target: Target, caller: Caller
) -> None:
    """A quarter of a megabyte on the wire would be 256 in memory."""
    before = target.peak_memory()
    address = address_of(target.address) if door == "grpc" else target.peer_socket()
    body = message(bomb(1 << 28), compressed=1)
    with connect(address, PATIENCE) as connection:
        connection.sendall(opening() + frame(Kind.SETTINGS, 1))
        connection.sendall(frame(Kind.HEADERS, END_HEADERS, 1, call_headers(path, (b"grpc-encoding", b"gzip"))))
        parts = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        for number, part in enumerate(parts, start=1):
            connection.sendall(frame(Kind.DATA, END_STREAM if number == len(parts) else 0, 1, part))
        trailers = _headers_of_the_end(connection)
    assert b"grpc-status\x018" in trailers  # RESOURCE_EXHAUSTED
    assert target.peak_memory() - before < GROWTH
    caller.latency()


def _headers_of_the_end(connection: socket.socket) -> bytes:
    """The header block that ends the call; pings on the way are answered, as gRPC sends no more to who does not."""
    reader = FrameReader()
    while received := connection.recv(65_536):
        for each in reader.feed(received):
            if each.kind == Kind.PING and not each.flags:
                connection.sendall(frame(Kind.PING, 1, payload=each.payload))
            if each.kind == Kind.HEADERS:
                return each.payload
    pytest.fail("the connection was closed without a status")
