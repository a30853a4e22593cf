"""One worker from its start to its end: hears what it says, and kills it if the watchdog says so. Trio only."""

import logging
from collections.abc import Callable

import trio

from broker.runtime.restart_policy import WorkerEnd
from broker.runtime.watchdog import CHECK_INTERVAL, Limits, Watchdog
from broker.runtime.worker_messages import Ready, decode
from broker.runtime.worker_process import WorkerProcess

log = logging.getLogger(__name__)


class RunningWorker:
    """State: the process, its watchdog, and whether it got ready, was told to stop, and hung."""

    def __init__(self, process: WorkerProcess, name: str, limits: Limits, on_ready: Callable[[Ready], None]) -> None:
        """`name`: for the log."""
        self._process = process
        self._name = name
        self._on_ready = on_ready
        self._started = trio.current_time()
        self._watchdog = Watchdog(limits, self._started)
        self._got_ready = False
        self._told_to_stop = False
        self._hung = False

    async def run(self) -> WorkerEnd:
        """Waits until the worker has ended. If cancelled, kills it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                nursery.start_soon(self._watch)
                code = await self._process.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._process.aclose()
        lived = trio.current_time() - self._started
        return WorkerEnd(code=code, lived=lived, got_ready=self._got_ready, wanted=self._told_to_stop, hung=self._hung)

    def stop(self) -> None:
        """Tells the worker to stop."""
        self._told_to_stop = True
        self._watchdog.told_to_stop(trio.current_time())
        self._process.terminate()

    def tell(self, message: bytes) -> None:
        """See `WorkerProcess`."""
        self._process.tell(message)

    async def _listen(self) -> None:
        async for line in self._process.lines():
            message = decode(line)
            if message is None:
                continue
            self._watchdog.hear(message, trio.current_time())
            if isinstance(message, Ready):
                self._got_ready = True
                self._on_ready(message)

    async def _watch(self) -> None:
        while True:
            reason = self._watchdog.check(trio.current_time())
            if reason is not None:
                break
            await trio.sleep(CHECK_INTERVAL)
        self._hung = True
        log.error("%s (process %d) %s; it is killed", self._name, self._process.pid, reason)
        self._process.kill()
