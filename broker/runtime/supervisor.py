"""Keeps a host's workers alive: starts them, starts again what crashed, replaces them one by one, ends them together.

Trio only. A worker is a process that says on its first line, in JSON, that it is ready, stops on SIGTERM when what it
has under way is done, and stops too when its standard input closes: it never outlives its supervisor.

* SIGTERM, SIGINT: all workers are told to stop, and given their time.
* SIGHUP: if the configuration is still valid, one worker after the other is replaced by one that has read it anew.
* A worker that ends by itself is started again: at once if it had lived, after a growing pause if it had not.
"""

import json
import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from broker.errors import BrokerError, ConfigError

log = logging.getLogger(__name__)

_LIVED = 10.0  # s after which a worker counts as having lived
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # s before a worker that did not live is started again
_PATIENCE = 15.0  # s beyond its grace period that a worker is given to stop


class WorkerFailedError(BrokerError):
    """A worker never got ready. `code`: its exit code; it has said on stderr what is wrong."""

    def __init__(self, slot: int, code: int) -> None:
        super().__init__(f"worker {slot} could not start (exit code {code})")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """What to keep alive."""

    size: int
    command: Callable[[int], Sequence[str]]
    """The command line of the worker in a slot."""
    grace: float
    """Seconds a worker may take for what it has under way when it is told to stop."""


def supervise(
    pool: WorkerPool, *, ready: Callable[[Sequence[dict[str, Any]]], None], may_reload: Callable[[], bool]
) -> None:
    """Runs a pool until told to stop. Calls `ready` with what each worker said, once all are ready.

    `may_reload` is asked on SIGHUP. Raises `WorkerFailedError` if a worker cannot be started the first time.
    """
    trio.run(partial(_supervise, pool, ready, may_reload))


async def _supervise(
    pool: WorkerPool, ready: Callable[[Sequence[dict[str, Any]]], None], may_reload: Callable[[], bool]
) -> None:
    posts = [_SlotKeeper(slot, pool) for slot in range(pool.size)]
    failed: list[WorkerFailedError] = []
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        try:
            async with trio.open_nursery() as nursery:
                for post in posts:
                    nursery.start_soon(post.keep)
                await _tend(signals, posts, ready, may_reload)
                for post in posts:
                    post.leave()
        except* WorkerFailedError as group:
            failed += _leaves(group)
    if failed:
        raise failed[0]


async def _tend(
    signals: Any,
    posts: Sequence["_SlotKeeper"],
    ready: Callable[[Sequence[dict[str, Any]]], None],
    may_reload: Callable[[], bool],
) -> None:
    """Says when all are ready, and replaces them when asked, until told to stop."""
    hang_up, hangups = trio.open_memory_channel[None](1)  # while one is obeyed, one more is remembered

    async def obey_hangups() -> None:
        for post in posts:
            await post.ready.wait()
        ready([post.said for post in posts])
        async for _ in hangups:
            if may_reload():
                for post in posts:
                    await post.replace()

    # Beside it: who waits for somebody to get ready can still be told to stop.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey_hangups)
        async for number in signals:
            if number != signal.SIGHUP:
                break
            with suppress(trio.WouldBlock):
                hang_up.send_nowait(None)
        nursery.cancel_scope.cancel()


def _leaves(group: BaseExceptionGroup[WorkerFailedError]) -> list[WorkerFailedError]:
    found: list[WorkerFailedError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


class _SlotKeeper:
    """A slot, and whoever works in it.

    State: what the worker said when it was ready, its process, whether its end is wanted, and whether nobody is to
    follow it.
    """

    def __init__(self, slot: int, pool: WorkerPool) -> None:
        self.said: dict[str, Any] = {}
        self.ready = trio.Event()
        self._slot = slot
        self._pool = pool
        self._process: trio.Process | None = None
        self._life = trio.CancelScope()
        self._end_wanted = False
        self._closed = trio.Event()

    async def keep(self) -> None:
        """Keeps somebody working here until `leave`. Raises `WorkerFailedError` if the first never gets ready."""
        died_early = 0
        while not self._closed.is_set():
            self._end_wanted = False
            began = trio.current_time()
            code = await self._work()
            if self._end_wanted:
                died_early = 0
                continue
            if not self.said:
                raise WorkerFailedError(self._slot, code)
            log.error("worker %d ended by itself (exit code %d); it is started again", self._slot, code)
            died_early = 0 if trio.current_time() - began > _LIVED else died_early + 1
            if died_early:
                with trio.move_on_after(_PAUSES[min(died_early, len(_PAUSES)) - 1]):
                    await self._closed.wait()

    def leave(self) -> None:
        """Ends the work here for good."""
        self._closed.set()
        self._end()

    async def replace(self) -> None:
        """Ends the worker, and waits until its successor is ready."""
        self.ready = trio.Event()
        self._end()
        await self.ready.wait()

    def _end(self) -> None:
        self._end_wanted = True
        self._life.deadline = trio.current_time() + self._pool.grace + _PATIENCE
        if self._process is not None:
            self._process.terminate()

    async def _work(self) -> int:
        """One worker's life. Returns its exit code."""
        command = self._pool.command(self._slot)
        process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process = process
        self._life = trio.CancelScope()
        if self._closed.is_set():  # told while the process was being made
            self._end()
        try:
            with self._life:
                said = await _first_line(process)
                if said is not None:
                    self.said = said
                    self.ready.set()
                await process.wait()
        finally:
            self._process = None
            with trio.CancelScope(shield=True):
                await _put_away(process)
        return process.returncode if process.returncode is not None else -signal.SIGKILL


async def _first_line(process: trio.Process) -> dict[str, Any] | None:
    """What a worker says when it is ready; None if it ends before."""
    line = b""
    while process.stdout is not None and not line.endswith(b"\n"):
        more = await process.stdout.receive_some()
        if not more:
            return None
        line += more
    said: dict[str, Any] = json.loads(line)
    return said


async def _put_away(process: trio.Process) -> None:
    """Ends a process that has not ended, and lets go of its pipes."""
    if process.returncode is None:
        process.kill()
        await process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            await pipe.aclose()


def reserve(address: str) -> tuple[socket.socket, str]:
    """Reserves a port that several processes are to listen at: keep the socket, it takes no connections itself.

    `address` is host:port; with port 0, one is chosen. Returns the socket and the address with its port. Raises
    `ConfigError` if somebody else listens there: a second broker on one port is a mistake, not a second worker.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            place = probe.getsockname()
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(place)
    except OSError as error:
        msg = f"server.listen: cannot listen on {address}; is another broker running there? ({error.strerror})"
        raise ConfigError(msg) from error
    return held, f"{host}:{held.getsockname()[1]}"
