"""What an execution works with: what is ordered, and the parts of the worker that carry it out."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from broker.core.planning.selection import Selection
from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NO_TRANSCRIPT, Transcript
from broker.lanes.fan_out import FanOut
from broker.loops.bridge import Bridge
from broker.loops.fair_scheduler import FairScheduler
from broker.model import Request
from broker.peers.client import Peers
from broker.store.base import Store

Write = Callable[[bytes], Awaitable[None]]
"""Sends one encoded `InvestigateResponse`; waits while the reader is slow."""


async def _clear() -> None:
    """Nothing has to happen."""


async def _answered(_reports: bytes, _tally: Tally, _count: int) -> None:
    """Nothing has to happen."""


@dataclass(frozen=True, slots=True)
class Recording:
    """How one request is recorded."""

    transcript: Transcript = NO_TRANSCRIPT
    """Takes note of the answers."""
    clear: Callable[[], Awaitable[None]] = _clear
    """Is awaited before anybody is asked."""
    answered: Callable[[bytes, Tally, int], Awaitable[None]] = _answered
    """Is awaited before anything is sent, if all reports are known by then: these, their answers, and how many."""


NOT_RECORDED = Recording()


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The parts of the worker that all executions share."""

    store: Store
    fanout: FanOut
    bridge: Bridge
    peers: Peers
    scheduler: FairScheduler
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    new_transcript: Callable[[], Transcript] = lambda: NO_TRANSCRIPT
    """Of one request."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be executed: a request, of whom, and by when."""

    request: Request
    selection: Selection
    deadline: float
    """On the monotonic clock."""

    @property
    def time_left(self) -> float:
        """Seconds; negative once the deadline has passed."""
        return self.deadline - time.monotonic()
