"""Callers whose connections are reset in the middle of their streams have gone: that is no error of the broker's."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest

from tests.end_to_end.testbed import CLIENT_OPTIONS, SERVICE, Testbed, asking, sample, with_testbed

_CALLERS = 50
_LOOKUPS = 2_000  # answers of about a megabyte, so that the broker is still writing when the connection is reset


def reset_when_closed(writer: asyncio.StreamWriter) -> None:
    """Makes a connection end with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def resetting_proxy(address: str, *, after: int) -> AsyncIterator[str]:
    """Forwards connections to an address, and resets all at once when so many bytes of each have come from there.

    Yields its own address.
    """
    all_have = asyncio.Barrier(_CALLERS)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = address.rpartition(":")
        answers, requests = await asyncio.open_connection(host, int(port))
        for each in (writer, requests):
            reset_when_closed(each)

        async def up() -> None:
            while data := await reader.read(65_536):
                requests.write(data)

        sending = asyncio.create_task(up())
        seen = 0
        while seen < after and (data := await answers.read(4_096)):
            seen += len(data)
            writer.write(data)
        await all_have.wait()
        sending.cancel()
        requests.transport.abort()
        writer.transport.abort()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_a_reset_in_the_middle_of_a_stream_is_a_caller_that_has_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario(testbed: Testbed) -> None:
        request = asking(sample(_LOOKUPS))
        await testbed.ask(request, seconds=60)
        body = request.SerializeToString()

        async def call(address: str) -> None:
            async with grpc.aio.insecure_channel(address, options=CLIENT_OPTIONS) as channel:
                with suppress(grpc.aio.AioRpcError):
                    async for _ in channel.unary_stream(f"/{SERVICE}/Investigate")(body, timeout=30):
                        pass

        for after in (60_000,):
            async with resetting_proxy(testbed.addresses.grpc, after=after) as address:
                await asyncio.gather(*[call(address) for _ in range(_CALLERS)])
        await testbed.is_idle()
        text = await testbed.metrics_text()
        ended = [line for line in text.splitlines() if line.startswith("broker_requests_total")]
        assert not any("INTERNAL" in line and not line.endswith(" 0.0") for line in ended), ended

    with caplog.at_level(logging.INFO):
        with_testbed(tmp_path, scenario, server={"max_inquiries_in_flight": 10_000_000})
    written = caplog.text + "".join(capfd.readouterr())
    assert "ExecuteBatchError" not in written
    assert "Traceback" not in written
