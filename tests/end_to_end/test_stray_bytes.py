"""Nothing that reaches any port or socket by mistake is written down or sent back: it may be about a debtor."""

import asyncio
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from broker.demo.testbed import configuration
from tests.end_to_end.conftest import SEED, Program, needs_root
from tests.end_to_end.strays import NAME, NUMBER, Stray, strays, traces
from tests.end_to_end.testbed import run

_AT_ONCE = 40
"""Connections; so that no port's backlog overflows."""


class Door(NamedTuple):
    """Where a process listens."""

    pid: int
    address: tuple[str, int] | str
    """Host and port, or the path of a Unix socket."""


def with_descendants(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from with_descendants(int(child))


def doors(program: Program) -> Iterator[Door]:
    """Every socket on which a program's processes listen: read from the kernel, so that none is forgotten."""
    for pid in with_descendants(program.process.pid):
        held = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        for columns in [*_table(pid, "tcp"), *_table(pid, "tcp6")]:
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in held:
                yield Door(pid, _address(columns[1]))
        for columns in _table(pid, "unix"):
            if int(columns[3], 16) & 0x10000 and f"socket:[{columns[6]}]" in held:  # __SO_ACCEPTCON
                yield Door(pid, columns[7])


def _table(pid: int, name: str) -> Sequence[Sequence[str]]:
    return [line.split() for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]


def _address(text: str) -> tuple[str, int]:
    """As in /proc/net/tcp: hexadecimal, in words of the machine's byte order."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    family = socket.AF_INET6 if len(words) == 4 else socket.AF_INET
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words)), int(port, 16)


async def visit(door: Door, stray: Stray, *, speaks_grpc: bool) -> bytes:
    """Sends a stray, gives the server time to answer, and returns what came back.

    Leaving is closing one's own half of the connection, and reading until the server has closed the other: then it has
    seen all that was sent.
    """
    reader, writer = await _connect(door)
    came = b""
    try:
        writer.write(stray.sent)
        await writer.drain()
        if speaks_grpc:
            came = await reader.read(65_536)  # its settings, whatever it is sent
        else:
            await is_alive(door)  # by then it has read what was sent before
        writer.write_eof()
        while more := await reader.read(65_536):
            came += more
    except OSError:  # it has hung up: servers do
        pass
    finally:
        writer.close()
    return came


async def break_off(door: Door, stray: Stray) -> None:
    """Sends a stray and resets the connection."""
    _, writer = await _connect(door)
    writer.write(stray.sent)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _connect(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(door.address, str):
        return await asyncio.open_unix_connection(door.address)
    return await asyncio.open_connection(*door.address)


async def is_alive(door: Door) -> None:
    """Fails unless the HTTP server behind a door answers."""
    reader, writer = await _connect(door)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await reader.readline()
    writer.close()


async def grpc_is_alive(address: str) -> None:
    """Fails unless the gRPC server at an address answers."""
    async with grpc.aio.insecure_channel(address) as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


async def try_all(every: Sequence[Door], grpc_address: str) -> dict[str, set[str]]:
    """Sends every stray through every door. Returns what came back that should not, by stray and address."""
    room = asyncio.Semaphore(_AT_ONCE)
    echoes: dict[str, set[str]] = {}
    port = int(grpc_address.rpartition(":")[2])

    async def one(door: Door, stray: Stray) -> None:
        speaks_grpc = isinstance(door.address, str) or door.address[1] == port
        async with room:
            await break_off(door, stray)
            came = await visit(door, stray, speaks_grpc=speaks_grpc)
        if found := traces(came.decode("utf-8", "surrogateescape")):
            echoes[f"{stray.name} at {door.address}"] = found

    async with asyncio.TaskGroup() as group:
        for door in every:
            for stray in strays():
                group.create_task(one(door, stray))
    await grpc_is_alive(grpc_address)
    return echoes


def test_what_is_recognised() -> None:
    """Else the test below could not fail."""
    for text in (
        f"about {NUMBER[4:15]}",
        f"about {NAME}",
        repr(NAME.encode()),
        ascii(NAME),
        NAME.encode().decode("latin-1"),
        ascii(NAME.encode().decode("ascii", "surrogateescape")),
        "%E6%AC%A7%E9%98%B3",
        NAME.encode().hex(),
    ):
        assert traces(text), text
    assert not traces("2026-11-25 10:59:30,762 WARNING broker.serving: 640221 of 欧")


@needs_root
def test_no_port_or_socket_writes_down_or_sends_back_what_it_was_sent(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path = tmp_path_factory.mktemp("s")  # the path of a socket may have some hundred characters
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mocks = Program("mock_institutions", "serve", "--port-base", "0", "--seed", str(SEED), folder=tmp_path)
    try:
        (tmp_path / "broker.toml").write_text(configuration(tmp_path, mocks.said["institutions"]), encoding="utf-8")
        broker = Program("broker", "serve", "--config", "broker.toml", "--workers", "2", folder=tmp_path)
        try:
            every = [*doors(broker), *doors(mocks)]
            workers = {door.pid for door in doors(broker)}
            assert len(workers) == 2
            assert len(every) >= 2 * 3 + 5
            echoes = run(lambda: try_all(every, broker.said["grpc"]), seconds=120)
        finally:
            assert broker.stop() == 0, broker.log
    finally:
        assert mocks.stop() == 0, mocks.log
    written = f"{broker.log}\n{broker.printed}\n{mocks.log}\n{mocks.printed}"
    assert {line for line in written.splitlines() if traces(line)} == set()
    assert echoes == {}
