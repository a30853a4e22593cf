"""One worker: the ports it opens, and the order in which it lets go of them.

Stop: refuse new requests → let those in flight finish, within the grace period → close the ports.
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broker.core.control.admission import Admission
from broker.core.planning.ownership import ALONE, Ownership
from broker.peers.server import PeerService
from broker.runtime.metrics_endpoint import MetricsEndpoint
from broker.serving.server import GrpcServer
from broker.serving.service import InvestigationService

log = logging.getLogger(__name__)


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

    is_gone: bool
    """Whether it has ended; its workers follow it."""

    def progress(self, step: str, silence: float) -> None:
        """Is told that a step of starting or stopping begins or goes on, which may take `silence` seconds.

        The event loop may stand still meanwhile. The step is named for the log.
        """


class NoSupervisor:
    """A `Supervisor` for a worker that nobody supervises."""

    is_gone = False

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
    grace: float
    """Seconds that requests in flight are given when the worker stops."""

    async def open(self) -> Addresses:
        """Opens all ports. Raises `ConfigError` if one cannot be had."""
        address = self.server.bind()
        metrics = await self.endpoint.open()
        if self.peer_service is not None:
            await self.peer_service.open()
        await self.server.start()
        return Addresses(grpc=address, metrics=metrics)

    async def drain(self) -> None:
        """Refuses what is new, waits for what is in flight, closes all ports."""
        self.admission.draining = True
        await self.server.begin_drain()
        try:
            await asyncio.wait_for(self._wait_idle(), self.grace)
        except TimeoutError:
            log.warning("stopping with requests in flight: they took longer than the grace period")
        await self.server.close()
        if self.peer_service is not None:
            await self.peer_service.close()
        await self.endpoint.close()

    async def _wait_idle(self) -> None:
        await self.service.wait_idle()
        if self.peer_service is not None:
            await self.peer_service.wait_idle()
