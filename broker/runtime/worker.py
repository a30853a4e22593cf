"""One worker: the ports it opens, and the order in which it lets go of them.

Stop: take no new connections → serve those there are until they have aged → refuse new requests → let those in flight
finish, within the grace period → close the ports.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from broker.core.control.admission import Admission
from broker.core.planning.ownership import ALONE, Ownership
from broker.peers.server import PeerService
from broker.runtime.metrics_endpoint import MetricsEndpoint
from broker.serving.server import GrpcServer
from broker.serving.service import InvestigationService

log = logging.getLogger(__name__)

_ORPHAN_GRACE_PERIOD = 5.0  # s for what is in flight when the supervisor is gone; most requests take less


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running worker can be reached."""

    grpc: str
    metrics: str


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """A worker's place among those of its host."""

    ownership: Ownership = ALONE
    folder: Path | None = None
    """Where the workers' sockets are; None for a worker without others."""
    port_is_reserved: bool = False
    """Whether a supervisor holds the port for this worker, alone or with others."""


ONLY_SLOT = WorkerSlot()


class Supervisor(Protocol):
    """Whoever started this worker and wants to know how it fares."""

    gone: asyncio.Event
    """Set when it has ended; its workers follow it."""
    reloads_refused: int
    """While this worker has run."""

    def progress(self, step: str, silence: float) -> None:
        """Is told that a step of starting or stopping begins or goes on, which may take `silence` seconds.

        The event loop may stand still meanwhile. The step is named for the log.
        """


class NoSupervisor:
    """A `Supervisor` for a worker that nobody supervises."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.reloads_refused = 0

    def progress(self, step: str, silence: float) -> None:
        """See `Supervisor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The parts that face outward."""

    admission: Admission
    service: InvestigationService
    server: GrpcServer
    endpoint: MetricsEndpoint
    peer_service: PeerService | None
    grace_period: float
    """Seconds that requests in flight are given when the worker stops."""

    def is_idle(self) -> bool:
        """Whether no request is in flight."""
        return not self.admission.statistics().requests_in_flight

    def in_flight(self) -> int:
        """How many inquiries are in flight."""
        return self.admission.statistics().inquiries_in_flight

    async def open(self) -> Addresses:
        """Opens all ports. Raises `ConfigError` if one cannot be had."""
        address = self.server.bind()
        metrics = await self.endpoint.open()
        if self.peer_service is not None:
            await self.peer_service.open()
        await self.server.start()
        return Addresses(grpc=address, metrics=metrics)

    async def drain(self, orphaned: asyncio.Event) -> None:
        """Lets callers leave, waits for what is in flight, closes all ports.

        `orphaned`: set as soon as the supervisor is gone. Another broker may be waiting for the ports and ask the same
        institutions, so there is not much time then.
        """
        await self.server.leave()
        await _first(self.server.wait_left(), orphaned.wait())
        self.admission.draining = True
        stopping = asyncio.create_task(self.server.stop(self.grace_period))
        finished = await self._finish(self.grace_period, unless=orphaned)
        if orphaned.is_set():
            await self.endpoint.close()
            finished = await self._finish(min(self.grace_period, _ORPHAN_GRACE_PERIOD))
        if not finished:
            log.warning("stopping with requests in flight: they took longer than the grace period")
        await self.server.close()
        await stopping
        if self.peer_service is not None:
            await self.peer_service.close()
        await self.endpoint.close()

    async def _finish(self, seconds: float, *, unless: asyncio.Event | None = None) -> bool:
        """Waits until nothing is in flight, or an event is set. Returns whether nothing is."""
        waits = [self._wait_idle(), *([unless.wait()] if unless else [])]
        return await _first(*waits, seconds=seconds) == 0

    async def _wait_idle(self) -> None:
        await self.service.wait_idle()
        if self.peer_service is not None:
            await self.peer_service.wait_idle()


async def _first(*waits: Coroutine[Any, Any, object], seconds: float | None = None) -> int | None:
    """Waits until one of these ends, and cancels the others. Returns which; None if none does in so many seconds."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    ended = next((number for number, task in enumerate(tasks) if task.done()), None)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    if ended is not None:
        tasks[ended].result()
    return ended
