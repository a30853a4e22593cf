"""One slot of the pool: keeps a worker running in it, one after the other. Trio only."""

import logging
from collections.abc import Awaitable, Callable

import trio

from broker.errors import BrokerError
from broker.runtime.restart_policy import NextStart, RestartPolicy, WorkerEnd
from broker.runtime.running_worker import RunningWorker
from broker.runtime.watchdog import Limits
from broker.runtime.worker_messages import Ready
from broker.runtime.worker_process import WorkerProcess

log = logging.getLogger(__name__)

Launch = Callable[[int, NextStart], Awaitable[WorkerProcess]]
"""Starts a worker's process: in which slot, and how."""


class WorkerFailedError(BrokerError):
    """The first worker of a slot never got ready. `code`: its exit code; its log says what is wrong."""

    def __init__(self, slot: int, end: WorkerEnd) -> None:
        super().__init__(f"worker {slot} could not start: it {end}")
        self.code = end.code


class SupervisedSlot:
    """State: the worker that runs, if one does; what the last one that got ready told; whether to stop."""

    def __init__(self, slot: int, launch: Launch, limits: Limits) -> None:
        self.ready = trio.Event()
        """Set while the slot has a worker that got ready, or had one that crashed since."""
        self.worker: Ready | None = None
        """Where the last worker that got ready can be reached."""
        self._slot = slot
        self._launch = launch
        self.limits = limits
        """What workers may take that start from now on."""
        self._policy = RestartPolicy()
        self._running: RunningWorker | None = None
        self._stopping = trio.Event()

    async def run(self) -> None:
        """Keeps a worker running until `stop`. Raises `WorkerFailedError` if the first one never gets ready."""
        start = NextStart()
        while not await self._stops_within(start.pause):
            end = await self._run_worker(start)
            if not self._stopping.is_set():
                start = self._start_after(end)

    def stop(self) -> None:
        """Stops the worker; no other follows."""
        self._stopping.set()
        self._stop_worker()

    def tell(self, message: bytes) -> None:
        """Tells the worker something, if one runs."""
        if self._running is not None:
            self._running.tell(message)

    async def replace(self) -> None:
        """Stops the worker, and waits until the next one is ready."""
        self.ready = trio.Event()
        self._stop_worker()
        await self.ready.wait()

    async def _stops_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            await self._stopping.wait()
        return self._stopping.is_set()

    async def _run_worker(self, start: NextStart) -> WorkerEnd:
        process = await self._launch(self._slot, start)
        self._running = RunningWorker(process, f"worker {self._slot}", self.limits, self._got_ready)
        if self._stopping.is_set():  # told while the process was being made
            self._stop_worker()
        try:
            return await self._running.run()
        finally:
            self._running = None

    def _got_ready(self, worker: Ready) -> None:
        log.info("worker %d (process %d) is ready", self._slot, worker.pid)
        self.worker = worker
        self.ready.set()

    def _start_after(self, end: WorkerEnd) -> NextStart:
        """How the next worker starts. Raises `WorkerFailedError` if none is to."""
        start = self._policy.after(end)
        if start is None:
            raise WorkerFailedError(self._slot, end)
        if not end.wanted:
            check = ", and first checks the store's file" if start.after_crash else ""
            log.error("worker %d %s; another one starts in %g s%s", self._slot, end, start.pause, check)
        return start

    def _stop_worker(self) -> None:
        if self._running is not None:
            self._running.stop()
