"""Composition root of a worker: builds every part, and owns the order of starting and stopping.

Start: store, bridge to trio, connections, lanes, service, port, metrics; then ready.
Stop:  refuse new requests → let those under way finish, within the grace period → port, lanes, connections → store.

A worker may be one of several on its host (`Seat`). They share port and store, divide among them what institutions
allow the host, and reach each other through sockets in one folder.
"""

import asyncio
import gc
import logging
import os
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import msgspec
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from broker.admission import Admission
from broker.bridge import Bridge, in_asyncio, open_bridge
from broker.colleague_service import ColleagueService
from broker.colleagues import open_colleagues, socket_of
from broker.config import Config, ServerConfig, StoreConfig
from broker.core.key import Keyer
from broker.core.ownership import ALONE, Ownership
from broker.core.selection import Selector
from broker.errors import ConfigError, StoreError
from broker.fanout import FanOut
from broker.inquest import Parts
from broker.institutions.dialects import DIALECTS
from broker.institutions.http import HttpInstitution
from broker.institutions.transport import HttpTransport, open_transport
from broker.lane import Lane
from broker.metrics import RequestMeter, StateCollector
from broker.model import InstitutionSpec, Question, Reply
from broker.pipeline import Pipeline
from broker.service import NAME, InvestigationService
from broker.store.base import Store
from broker.store.cipher import derive
from broker.store.lmdb import LmdbStore
from broker.store.memory import MemoryStore
from broker.turnstile import Turnstile

log = logging.getLogger(__name__)

_KEY_SIZE = 32
_COLLECT_AFTER = 100_000  # objects more than were freed; cycles are rare here, and this bounds them to a few MiB
# ms. SO_REUSEPORT spreads connections, not load: callers that stay connect anew from time to time (grpc/grpc#28867).
_CONNECTION_AGE = 300_000
_FOR_EVER = 2**31 - 1
_LEAVING = 1.0  # s gRPC is given to close connections once all streams have ended


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running worker can be reached."""

    grpc: str
    metrics: str


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker's place among those of its host."""

    ownership: Ownership = ALONE
    folder: Path | None = None
    """Where the workers' sockets are; None for a worker without others."""


ONLY_SEAT = Seat()


async def serve(
    config: Config, *, stop: asyncio.Event, ready: Callable[[Addresses], None], seat: Seat = ONLY_SEAT
) -> None:
    """Runs a worker until `stop` is set; calls `ready` once it can be reached.

    Raises `ConfigError` or `StoreError` if it cannot start.
    """
    async with AsyncExitStack() as stack:
        worker, lanes_ended = await _build(_divided(config, seat.ownership), seat, stack)
        _calm_collector()
        addresses = await worker.open()
        ready(addresses)
        stopped = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped, lanes_ended}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        await worker.drain()
        if lanes_ended.done():  # without lanes nothing can be asked: whoever started this worker has to know
            lanes_ended.result()


def _calm_collector() -> None:
    """Spares the garbage collector what cannot be garbage: what start-up made, and batches that end by themselves.

    A batch of 1,000 lookups makes some 10,000 objects that reference counts free. With Python's default of 700, the
    collector would go through them a dozen times in vain: about a tenth of the CPU of a miss when it was tried.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _divided(config: Config, ownership: Ownership) -> Config:
    """The configuration with this worker's part of what is meant for the host: lookups, and calls to institutions."""
    specs = tuple(
        replace(spec, concurrency=max(1, ownership.share(spec.concurrency)), rate=spec.rate / ownership.workers)
        for spec in config.institutions
    )
    under_way = max(1, ownership.share(config.server.lookups_under_way))
    server = msgspec.structs.replace(config.server, lookups_under_way=under_way)
    return msgspec.structs.replace(config, server=server, institutions=specs)


async def _build(config: Config, seat: Seat, stack: AsyncExitStack) -> tuple["Worker", "asyncio.Future[None]"]:
    """The worker, and what tells when its lanes have ended by themselves."""
    master_key = load_key(Path(config.store.key_file))
    store = open_store(config.store, master_key)
    stack.callback(store.close)
    bridge = await stack.enter_async_context(open_bridge())
    connections = sum(spec.concurrency for spec in config.institutions)
    transport = await stack.enter_async_context(open_transport(connections=connections))
    turnstile = Turnstile()
    fanout = await bridge.run(partial(_open_lanes, config, store, transport, turnstile))
    lanes_ended = await stack.enter_async_context(_running(bridge, fanout.run))
    registry = CollectorRegistry()
    admission = Admission(config.server.lookups_under_way)
    meter = RequestMeter(registry)
    registry.register(StateCollector(fanout.lanes, admission, store))
    colleagues = await stack.enter_async_context(open_colleagues(seat.ownership, seat.folder))
    pipeline = Pipeline(
        selector=Selector(config.institutions),
        keyer=Keyer(derive(master_key, b"index")),
        admission=admission,
        meter=meter,
        parts=Parts(store, fanout, bridge, colleagues, turnstile),
    )
    service = InvestigationService(pipeline, config.server, meter)
    return Worker(config.server, seat, pipeline, service, registry), lanes_ended


class _Abroad:
    """An institution on the asyncio side, as the trio side sees it (`Institution`)."""

    def __init__(self, institution: HttpInstitution) -> None:
        self.spec = institution.spec
        self._institution = institution

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        return await in_asyncio(self._institution.ask(question))


async def _open_lanes(config: Config, store: Store, transport: HttpTransport, turnstile: Turnstile) -> FanOut:
    """On the trio side: one lane per institution."""

    def reach(spec: InstitutionSpec) -> _Abroad:
        dialect = DIALECTS[spec.dialect]
        return _Abroad(HttpInstitution(spec, dialect, post=transport.post, turn=turnstile.turn, clock=time.time))

    return FanOut(
        Lane(
            reach(spec),
            store,
            clock=time.time,
            random=random.random,
        )
        for spec in config.institutions
    )


@asynccontextmanager
async def _running(bridge: Bridge, task: Callable[[], Awaitable[None]]) -> AsyncIterator["asyncio.Future[None]"]:
    """Runs a task on the trio side for as long as the context lasts. The future tells when it has ended before that."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(error: BaseException | None) -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    errand = bridge.start(task, end)
    try:
        yield ended
    finally:
        errand.cancel()
        await asyncio.wait({ended})


class Worker:
    """The parts that face outward: the gRPC server, its health, and the HTTP port for metrics."""

    def __init__(
        self,
        config: ServerConfig,
        seat: Seat,
        pipeline: Pipeline,
        service: InvestigationService,
        registry: CollectorRegistry,
    ) -> None:
        self._config = config
        self._seat = seat
        self._admission = pipeline.admission
        self._service = service
        self._registry = registry
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", self._config.longest_message),
                ("grpc.max_send_message_length", -1),  # messages are bounded where they are made
                # A caller that vanished without a word is noticed within two minutes, and its requests ended.
                ("grpc.keepalive_time_ms", 90_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                # Alone, a second broker on the same port is a mistake; of several workers, the supervisor has checked.
                ("grpc.so_reuseport", int(seat.ownership.workers > 1)),
                ("grpc.max_connection_age_ms", _CONNECTION_AGE if seat.ownership.workers > 1 else _FOR_EVER),
            )
        )
        self._colleague_service: ColleagueService | None = None
        if seat.folder is not None:
            address = socket_of(seat.folder, seat.ownership.slot)
            self._colleague_service = ColleagueService(pipeline, pipeline.admission, address)
        self._runner: web.AppRunner | None = None

    async def open(self) -> Addresses:
        """Opens both ports. Raises `ConfigError` if one cannot be had."""
        self._server.add_generic_rpc_handlers((self._service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            port = self._server.add_insecure_port(self._config.listen)
        except RuntimeError as error:
            msg = f"server.listen: cannot listen on {self._config.listen}; is another broker running there?"
            raise ConfigError(msg) from error
        metrics = await self._open_metrics()
        if self._colleague_service is not None:
            await self._colleague_service.open()
        await self._server.start()
        await self._tell_health(health_pb2.HealthCheckResponse.SERVING)
        return Addresses(grpc=f"{self._config.listen.rpartition(':')[0]}:{port}", metrics=metrics)

    async def drain(self) -> None:
        """Refuses what is new, waits for what is under way, closes both ports."""
        self._admission.draining = True
        await self._tell_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            await asyncio.wait_for(self._wait_idle(), self._config.grace)
        except TimeoutError:
            log.warning("stopping with requests under way: they took longer than the grace period")
        await self._server.stop(_LEAVING)
        if self._colleague_service is not None:
            await self._colleague_service.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _wait_idle(self) -> None:
        await self._service.wait_idle()
        if self._colleague_service is not None:
            await self._colleague_service.wait_idle()

    async def _tell_health(self, status: Any) -> None:
        for name in ("", NAME):
            await self._health.set(name, status)

    async def _open_metrics(self) -> str:
        application = web.Application()
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/healthz", self._serve_health)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        host, _, port = self._config.metrics.rpartition(":")
        number = int(port) and int(port) + self._seat.ownership.slot  # one port per worker, unless any will do
        site = web.TCPSite(self._runner, host.strip("[]"), number)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            msg = f"server.metrics: cannot listen on {host}:{number}: {error.strerror}"
            raise ConfigError(msg) from error
        return f"{host}:{self._runner.addresses[0][1]}"

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _serve_health(self, _: web.Request) -> web.Response:
        if self._admission.draining:
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "serving"})


def load_key(path: Path) -> bytes:
    """The master key in a file, which is made if there is none. Raises `StoreError` if it is no key."""
    try:
        if not path.exists():
            _make_key(path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        msg = f"store.key_file {path}: cannot be read as {2 * _KEY_SIZE} hexadecimal digits ({type(error).__name__})"
        raise StoreError(msg) from error
    if len(key) != _KEY_SIZE:
        msg = f"store.key_file {path}: holds {len(key)} bytes, {_KEY_SIZE} are needed"
        raise StoreError(msg)
    return key


def _make_key(path: Path) -> None:
    """Makes a key file, whole from its first moment, unless another worker is faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.") as file:  # its owner's alone
        file.write(secrets.token_hex(_KEY_SIZE) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(file.name)


def open_store(config: StoreConfig, master_key: bytes) -> Store:
    """The store the configuration names. Raises `StoreError` if it cannot be used."""
    if not config.path:
        return MemoryStore(time.time)
    return LmdbStore(Path(config.path), master_key=master_key, map_size=config.map_size, clock=time.time)
