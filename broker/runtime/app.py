"""Composition root of a worker: builds every part, and owns the order of starting and stopping.

Start: store, bridge to trio, connections, lanes, service, port, metrics; then ready.
Stop:  callers leave → requests in flight finish, within the grace period → ports, lanes, connections → store.

A worker may be one of several on its host (`WorkerSlot`). They share port and store, divide among them what
institutions allow the host, and reach each other through sockets in one folder.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from broker.config import Config, ServerConfig, StoreConfig
from broker.core.control.admission import Admission
from broker.core.control.share import share_of
from broker.core.planning.ownership import Ownership
from broker.core.planning.selection import Selector
from broker.core.subjects.key import Keyer
from broker.errors import ConfigError
from broker.institutions.encryption import certificates_in_use
from broker.institutions.http import HttpInstitution, open_institutions
from broker.investigation.context import ExecutionContext
from broker.investigation.forwarded import ForwardedAnswers
from broker.lanes.fan_out import FanOut
from broker.lanes.lane import Lane
from broker.loops.bridge import Bridge, in_asyncio, open_bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.loops.step_budget import StepBudget
from broker.metrics.audit import AuditCollector
from broker.metrics.certificates import CertificateCollector
from broker.metrics.components import ComponentCollector
from broker.metrics.reloads import ReloadCollector
from broker.metrics.requests import RequestMetrics
from broker.model import Question, Reply
from broker.peers.client import open_peers, socket_of
from broker.peers.messages import longest_forward_request
from broker.peers.server import PeerService
from broker.runtime import garbage_collection
from broker.runtime.gate_parts import open_gate
from broker.runtime.key_source import load_key_ring
from broker.runtime.metrics_endpoint import SERVING, MetricsEndpoint
from broker.runtime.watchdog import ENDING
from broker.runtime.worker import ONLY_SLOT, Addresses, NoSupervisor, Supervisor, Worker, WorkerSlot
from broker.serving.pipeline import Pipeline
from broker.serving.server import GrpcServer
from broker.serving.service import InvestigationService
from broker.serving.tls import ServerTls
from broker.store.base import ProgressCallback, Store, no_progress
from broker.store.lmdb_store import LmdbStore
from broker.store.memory import MemoryStore

log = logging.getLogger(__name__)

_OPENING_SILENCE = 120.0  # s; the longest step is to double an index of many gigabytes


async def serve(
    config: Config,
    *,
    stop: asyncio.Event,
    ready: Callable[[Addresses], None],
    slot: WorkerSlot = ONLY_SLOT,
    supervisor: Supervisor | None = None,
) -> None:
    """Runs a worker until `stop` is set; calls `ready` once it can be reached.

    Raises `ConfigError` or `StoreError` if it cannot start.
    """
    supervisor = supervisor or NoSupervisor()
    async with AsyncExitStack() as stack:
        worker, lanes_ended = await _build(_divided(config, slot.ownership), slot, stack, supervisor)
        addresses = await worker.open()
        garbage_collection.begin()
        ready(addresses)
        collecting = asyncio.ensure_future(garbage_collection.collect_forever(worker.is_idle, worker.in_flight))
        stack.callback(collecting.cancel)
        stopped = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped, lanes_ended}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        await worker.drain(supervisor.gone)
        supervisor.progress("closing the store", ENDING)
        if lanes_ended.done():  # without lanes nothing can be asked: whoever started this worker has to know
            lanes_ended.result()


def _divided(config: Config, ownership: Ownership) -> Config:
    """The configuration with this worker's part of what is meant for the host: admission, and calls to institutions."""
    specs = tuple(share_of(spec, ownership) for spec in config.institutions)
    server = msgspec.structs.replace(
        config.server,
        max_inquiries_in_flight=max(1, ownership.share(config.server.max_inquiries_in_flight)),
        max_request_bytes_in_flight=max(1, ownership.share(config.server.max_request_bytes_in_flight)),
    )
    return msgspec.structs.replace(config, server=server, institutions=specs)


async def _build(
    config: Config, slot: WorkerSlot, stack: AsyncExitStack, supervisor: Supervisor
) -> tuple[Worker, "asyncio.Future[None]"]:
    """The worker, and what tells when its lanes have ended by themselves."""
    opening = partial(supervisor.progress, "opening the store", _OPENING_SILENCE)
    opening()
    ring = load_key_ring(config.store.key_file)
    store = open_store(config.store, ring.secrets, opening)
    stack.callback(store.close)
    bridge = await stack.enter_async_context(open_bridge())
    scheduler = FairScheduler()
    institutions = await stack.enter_async_context(
        open_institutions(config.institutions, turn=scheduler.wait_turn, clock=time.time)
    )
    fanout = await bridge.run(partial(_open_lanes, institutions, store))
    lanes_ended = await stack.enter_async_context(_running(bridge, fanout.run))
    registry = CollectorRegistry()
    admission = Admission(
        max_inquiries=config.server.max_inquiries_in_flight,
        max_request_bytes=config.server.max_request_bytes_in_flight,
    )
    meter = RequestMetrics(registry)
    registry.register(ReloadCollector(lambda: supervisor.reloads_refused))
    registry.register(ComponentCollector(fanout.lanes, admission, bridge, store))
    peers = await stack.enter_async_context(open_peers(slot.ownership, slot.folder))
    selector = Selector(config.institutions)
    tls = _open_tls(config, stack)
    failed = asyncio.Event()
    gate = open_gate(config, tls, stack, slot=slot.ownership.slot, on_failure=_setting(failed))
    if gate.recorder.log is not None:
        registry.register(AuditCollector(gate.recorder.log.statistics))
    context = ExecutionContext(store, fanout, bridge, peers, scheduler, new_transcript=gate.recorder.transcript)
    pipeline = Pipeline(
        selector=selector,
        keyer=Keyer(ring.index),
        admission=admission,
        meter=meter,
        context=context,
    )
    service = InvestigationService(pipeline, config.server, meter, gate=gate, numbering=config.courts.numbering())
    registry.register(CertificateCollector(tls.statistics if tls else None, certificates_in_use(config.institutions)))
    server = GrpcServer(config.server, service, shares_port=slot.port_is_reserved, tls=tls)
    reporting = asyncio.ensure_future(_report_failure(failed, server))
    stack.callback(reporting.cancel)
    worker = Worker(
        admission=admission,
        service=service,
        server=server,
        endpoint=MetricsEndpoint(
            _metrics_address(config.server.metrics, slot.ownership.slot),
            registry,
            state=lambda: "draining" if server.leaving else "not recording" if server.failed else SERVING,
        ),
        peer_service=_peer_service(config.server, slot, ForwardedAnswers(selector, context), admission),
        grace_period=config.server.grace_period,
    )
    return worker, lanes_ended


def _setting(event: asyncio.Event) -> Callable[[], None]:
    """Sets an event of this loop from any thread."""
    loop = asyncio.get_running_loop()

    def set_it() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(event.set)

    return set_it


async def _report_failure(failed: asyncio.Event, server: GrpcServer) -> None:
    await failed.wait()
    await server.report_failure()


def _open_tls(config: Config, stack: AsyncExitStack) -> ServerTls | None:
    """TLS towards courts, whose files are watched as long as the stack is open. Raises `ConfigError`."""
    if not config.tls.is_on:
        return None
    try:
        tls = ServerTls(config.tls, clock=time.time)
    except ConfigError as error:
        raise ConfigError(*(f"tls.{fault}" for fault in error.faults)) from None
    watching = asyncio.ensure_future(tls.watch())
    stack.callback(watching.cancel)
    return tls


def _metrics_address(address: str, slot: int) -> str:
    """One port per worker, unless any will do."""
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) and int(port) + slot}"


def _peer_service(
    config: ServerConfig, slot: WorkerSlot, answers: ForwardedAnswers, admission: Admission
) -> PeerService | None:
    if slot.folder is None:
        return None
    longest = longest_forward_request(config.max_message_bytes, config.max_lookups)
    return PeerService(answers.answer, admission, socket_of(slot.folder, slot.ownership.slot), longest=longest)


class _BridgedInstitution:
    """An institution on the asyncio side, as the trio side sees it (`Institution`)."""

    def __init__(self, institution: HttpInstitution) -> None:
        self.spec = institution.spec
        self._institution = institution

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        return await in_asyncio(self._institution.ask(question))


async def _open_lanes(institutions: Sequence[HttpInstitution], store: Store) -> FanOut:
    """On the trio side: one lane per institution."""
    budget = StepBudget()
    lanes = [
        Lane(_BridgedInstitution(institution), store, budget, clock=time.time, random=random.random)
        for institution in institutions
    ]
    return FanOut(lanes, store, budget, clock=time.time)


@asynccontextmanager
async def _running(bridge: Bridge, task: Callable[[], Awaitable[None]]) -> AsyncIterator["asyncio.Future[None]"]:
    """Runs a task on the trio side for as long as the context lasts. The future tells when it has ended before that."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(error: Exception | None) -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    handle = bridge.start(task, end)
    try:
        yield ended
    finally:
        handle.cancel()
        await asyncio.wait({ended})


def open_store(config: StoreConfig, master_keys: Sequence[bytes], progress: ProgressCallback = no_progress) -> Store:
    """The store the configuration names. Raises `StoreError` if it cannot be used.

    `progress` is called while it opens.
    """
    if not config.path:
        return MemoryStore(time.time)
    return LmdbStore(
        Path(config.path), master_keys=master_keys, map_size=config.map_size, clock=time.time, progress=progress
    )
