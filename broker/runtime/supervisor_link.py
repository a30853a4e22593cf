"""A worker's link to its supervisor: says that it lives, and ends when the supervisor is gone.

The worker's standard output takes `worker_messages`; its standard input tells, by being closed, that the supervisor is
gone. A thread of its own watches that, from before the store is opened, and ends the process

* at once while the worker starts: nobody waits for it yet,
* if the event loop does not react within `_REACTION`: it hangs,
* if the worker, told to stop, has not ended when the time for draining and a little more are over.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from broker.runtime.watchdog import ALIVE_INTERVAL, ENDING
from broker.runtime.worker_messages import RELOAD_REFUSED, Alive, Message, Progress, Ready, encode

_REACTION = 5.0  # s; as long as a supervisor would wait


class SupervisorLink:
    """A `Supervisor`.

    State: whether the supervisor is gone, and what it has refused; how to tell the event loop, and whether it has
    reacted; what shows life.
    """

    def __init__(self, *, stdin: int = 0, stdout: int = 1) -> None:
        """`stdin`, `stdout`: file descriptors; `stdout` is made non-blocking."""
        self.gone = asyncio.Event()
        self.reloads_refused = 0
        self._is_gone = False
        self._stop_within = 0.0
        self._stdin = stdin
        self._stdout = stdout
        self._tell_loop: Callable[[], object] | None = None
        self._reacted = threading.Event()
        self._beating: asyncio.Task[None] | None = None
        os.set_blocking(stdout, False)  # a supervisor that is stopped must not stop its workers

    def open(self) -> None:
        """Begins to watch the supervisor. To be called before anything that may take long."""
        threading.Thread(target=self._watch, name="supervisor-watch", daemon=True).start()

    def progress(self, step: str, silence: float) -> None:
        """See `Supervisor`."""
        if self._beating is not None:
            self._beating.cancel()
            self._reacted.set()  # it stops without being told
        self._send(Progress(step, silence))

    def ready(self, message: Ready, stop: Callable[[], object], *, drain_period: float) -> None:
        """Says that the worker is ready, and from now on that its event loop turns. Called from the event loop.

        `stop` is called from there when the supervisor is gone; the worker then has the time for draining (s) and a
        little more to end.
        """
        self._stop_within = drain_period + ENDING
        loop = asyncio.get_running_loop()

        def react() -> None:
            self._reacted.set()
            self.gone.set()
            stop()

        self._tell_loop = lambda: loop.call_soon_threadsafe(react)
        if self._is_gone:
            react()
        self._send(message)
        self._beating = loop.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_INTERVAL)
            self._send(Alive())

    def _send(self, message: Message) -> None:
        # A full pipe or a closed one: the supervisor does not read, and one message more would not change that.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._stdout, encode(message))

    def _watch(self) -> None:
        while told := os.read(self._stdin, 4096):
            self.reloads_refused += told.count(RELOAD_REFUSED)
        self._is_gone = True
        if self._tell_loop is None:
            _end("the supervisor is gone, and this worker is not ready")
        with suppress(RuntimeError):  # the loop is closed: the worker is about to end
            self._tell_loop()
        if not self._reacted.wait(_REACTION):
            _end("the supervisor is gone, and the event loop hangs")
        time.sleep(self._stop_within)
        _end("the supervisor is gone, and this worker has not stopped in time")


def _end(reason: str) -> NoReturn:
    """Ends the process without any cleanup, and without `logging`, whose lock a thread that hangs may hold."""
    os.write(2, f"worker process {os.getpid()} ends at once: {reason}\n".encode())
    os._exit(1)
