"""Connections that are opened and then not used as they should: each is closed in time, and there are not too many."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from broker.runtime import metrics_endpoint
from broker.serving import connection_limits
from tests.end_to_end.test_gate import with_gate
from tests.end_to_end.testbed import Testbed, with_testbed
from tests.hardening.attacker import address_of, connect
from tests.http2 import ACK, END_HEADERS, FrameReader, Kind, call_headers, frame, message, opening

PATIENCE = 60.0  # s until a connection counts as never closed
SOON = 0.3  # s; what the bound under test is set to, far below the others
LONG = {"max_connection_age": 1_000.0}
ACKNOWLEDGED = opening() + frame(Kind.SETTINGS, ACK)
ALLOWED = 3  # connections
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def is_closed(connection: socket.socket) -> bool:
    """Reads until the server has closed the connection, and acknowledges its pings and settings."""
    reader = FrameReader()
    try:
        while received := connection.recv(65_536):
            for each in reader.feed(received):
                if each.kind in (Kind.PING, Kind.SETTINGS) and not each.flags:
                    payload = each.payload if each.kind == Kind.PING else b""
                    connection.sendall(frame(each.kind, ACK, payload=payload))
    except (ConnectionResetError, BrokenPipeError):
        pass
    return True


def is_ignored_until_closed(connection: socket.socket) -> bool:
    """The same, but acknowledges nothing."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def unfinished_call() -> bytes:
    """A call whose message is announced and does not come."""
    head = frame(Kind.HEADERS, END_HEADERS, 1, call_headers())
    return head + frame(Kind.DATA, 0, 1, message(bytes(1_000))[:100])


@pytest.mark.parametrize("sent", [b"", opening()[:10]], ids=["nothing", "half a preface"])
def test_a_connection_without_a_beginning_is_closed(
    sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "_HANDSHAKE", SOON)
    assert with_testbed(tmp_path, partial(_sends, sent, is_ignored_until_closed), server=LONG)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "the beginning of a hello"])
def test_a_tls_handshake_that_does_not_end_is_closed(
    sent: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "_HANDSHAKE", SOON)

    async def scenario(testbed: Testbed) -> None:
        assert await _sends(sent, is_ignored_until_closed, testbed)

    with_gate(tmp_path, scenario)


def test_a_caller_that_acknowledges_no_settings_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "_ACKNOWLEDGE", SOON)
    assert with_testbed(tmp_path, partial(_sends, opening(), is_ignored_until_closed), server=LONG)


def test_a_caller_that_vanishes_during_a_call_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for time in ("_SILENCE", "_ACKNOWLEDGE"):
        monkeypatch.setattr(connection_limits, time, SOON)
    sent = ACKNOWLEDGED + unfinished_call()
    assert with_testbed(tmp_path, partial(_sends, sent, is_ignored_until_closed), server=LONG)


def test_a_call_that_never_becomes_whole_ends_with_the_longest_a_call_may_take(tmp_path: Path) -> None:
    server = {"max_connection_age": SOON, "max_timeout": SOON, "min_read_rate": 1e9}
    assert with_testbed(tmp_path, partial(_sends, opening() + unfinished_call(), is_closed), server=server)


async def _sends(sent: bytes, closed: Callable[[socket.socket], bool], testbed: Testbed) -> bool:
    def visit() -> bool:
        with connect(address_of(testbed.addresses.grpc), PATIENCE) as connection:
            connection.sendall(sent)
            return closed(connection)

    return await asyncio.to_thread(visit)


def test_more_connections_than_allowed_are_closed_at_once(tmp_path: Path) -> None:
    async def scenario(testbed: Testbed) -> bytes:
        return await asyncio.to_thread(_beside_others, testbed.addresses.grpc, ACKNOWLEDGED)

    settings = with_testbed(tmp_path, scenario, server={**LONG, "max_connections": ALLOWED})
    assert settings[3] == Kind.SETTINGS


def test_the_metrics_port_has_so_many_connections_and_serves_when_they_have_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_endpoint, "MOST_CONNECTIONS", ALLOWED)

    async def scenario(testbed: Testbed) -> bytes:
        said = await asyncio.to_thread(_beside_others, testbed.addresses.metrics, GET)
        assert "broker_requests" in await testbed.metrics_text()
        return said

    assert b"200 OK" in with_testbed(tmp_path, scenario)


def _beside_others(address: str, sent: bytes) -> bytes:
    """Opens more connections than allowed, and waits until the others are closed. What an allowed one is answered."""
    with ExitStack() as stack:
        allowed, *others = (
            [stack.enter_context(connect(address_of(address), PATIENCE)) for _ in range(count)]
            for count in (ALLOWED, 1, 1, 1)
        )
        assert all(is_ignored_until_closed(connection) for (connection,) in others)
        for connection in allowed:
            connection.sendall(sent)
        return [connection.recv(65_536) for connection in allowed][-1]


def test_the_metrics_port_closes_a_connection_that_does_not_ask_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_endpoint, "_LIFETIME", SOON)

    async def scenario(testbed: Testbed) -> None:
        for sent in (b"", GET[:10], b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
            await asyncio.to_thread(visit, testbed.addresses.metrics, sent)
        assert await testbed.metric("broker_requests_in_flight") == 0

    def visit(address: str, sent: bytes) -> None:
        with connect(address_of(address), PATIENCE) as connection:
            connection.sendall(sent)
            assert is_ignored_until_closed(connection)

    with_testbed(tmp_path, scenario)
