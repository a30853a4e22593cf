"""What a connection costs, over mutual TLS and over plain text, and what many of them at a time do to other callers.

    python -m benchmarks.handshakes [--connections 1000] [--parallel 16]

Two brokers with one worker each, of which one requires client certificates. Each connection is a channel of its own
that asks for the broker's health and closes. Meanwhile a probe asks the same over a connection that stays open, up to a
hundred times a second. `broker_cpu_ms` is the CPU time of the broker per connection, with call and probe. Also tells
what it costs to identify the peer of a request.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.load_generator import uvloop_runner
from benchmarks.output import print_result
from benchmarks.server_process import ServerProcess
from broker.certs.folder import CertificateFolder
from broker.demo.certificates import Certificates
from broker.demo.testbed import configuration
from broker.serving.peer import CertifiedPeers
from broker.serving.revocation import Revocations

_PAUSE = 0.01  # s between two probes
_IDLE = 2.0  # s for which the probe runs alone
_NOBODY = "https://127.0.0.1:1"  # institutions are not asked
_CALLS = 20_000  # for the cost of identifying a peer
_INSTITUTIONS = ("mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate", "mock-bank-jing")


@click.command(help=__doc__)
@click.option("--connections", default=1000, show_default=True, help="Connections to make to each broker.")
@click.option("--parallel", default=16, show_default=True, help="Connections that are made at a time.")
def main(*, connections: int, parallel: int) -> None:
    """Run the benchmark."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-benchmark-")))
        certificates = Certificates.make(folder / "certs")
        results = {}
        for name, used in (("plain", None), ("tls", certificates)):
            broker = _broker(folder / name, used)
            credentials = used.gateway().channel_credentials() if used else None
            try:
                with uvloop_runner() as runner:
                    results[name] = runner.run(_storm(broker, credentials, connections, parallel))
            finally:
                broker.stop()
        figures = {f"{name}_{key}": value for name, result in results.items() for key, value in result.items()}
        figures["identify_us"] = _identify(folder / "certs")
    rows = {name: f"{value:.3g}" for name, value in figures.items()}
    print_result(
        "Handshakes", rows, {"benchmark": "handshakes", "connections": connections, "parallel": parallel, **figures}
    )


def _broker(folder: Path, certificates: Certificates | None) -> ServerProcess:
    folder.mkdir()
    text = configuration(folder, dict.fromkeys(_INSTITUTIONS, _NOBODY), certificates)
    (folder / "broker.toml").write_text(text, encoding="utf-8")
    return ServerProcess("broker", "serve", "--workers", "1", "--config", "broker.toml", log=folder / "broker.log")


async def _storm(broker: ServerProcess, credentials: Any, connections: int, parallel: int) -> dict[str, float]:
    address = str(broker.announced["grpc"])
    async with _channel(address, credentials, 0) as steady:
        idle: list[float] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE):
                await _probe(steady, idle)
        busy: list[float] = []
        probing = asyncio.ensure_future(_probe(steady, busy))
        numbers = iter(range(1, connections + 1))
        began, cpu = time.perf_counter(), broker.cpu_seconds()
        await asyncio.gather(*(_connect(address, credentials, numbers) for _ in range(parallel)))
        took, cpu = time.perf_counter() - began, broker.cpu_seconds() - cpu
        probing.cancel()
    return {
        "connections_per_second": connections / took,
        "broker_cpu_ms": cpu * 1e3 / connections,
        "probe_idle_p50_ms": median(idle) * 1e3,
        "probe_idle_p99_ms": quantiles(idle, n=100)[98] * 1e3,
        "probe_busy_p50_ms": median(busy) * 1e3,
        "probe_busy_p99_ms": quantiles(busy, n=100)[98] * 1e3,
    }


def _channel(address: str, credentials: Any, number: int) -> Any:
    options = [("grpc.use_local_subchannel_pool", 1), ("benchmark.channel", number)]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, credentials, options)


async def _connect(address: str, credentials: Any, numbers: Any) -> None:
    for number in numbers:
        async with _channel(address, credentials, number) as channel:
            await _check(channel)


async def _probe(channel: Any, times: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await _check(channel)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE)


async def _check(channel: Any) -> None:
    await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)


class _Call:
    """What gRPC tells of a peer."""

    def __init__(self, pem: bytes) -> None:
        self._told = {"x509_pem_cert": [pem], "ssl_tls_version": [b"TLSv1.3"]}

    def auth_context(self) -> dict[str, Sequence[bytes]]:
        """A new object for each call, as gRPC makes it."""
        return {name: [bytes(bytearray(each)) for each in values] for name, values in self._told.items()}


def _identify(folder: Path) -> float:
    """Microseconds to identify a known peer, without gRPC's own part."""
    call = _Call((CertificateFolder(folder).path / "gateway.pem").read_bytes())
    peers = CertifiedPeers(Revocations, clock=time.time)
    began = time.perf_counter()
    for _ in range(_CALLS):
        call.auth_context()
    empty = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(_CALLS):
        peers.identify(call)
    return (time.perf_counter() - began - empty) * 1e6 / _CALLS


if __name__ == "__main__":
    main()
