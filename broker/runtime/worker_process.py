"""A worker's process and its pipes. Trio only.

It is in a process group of its own: what a terminal sends (Ctrl-C, hang-up) reaches the supervisor alone. And when the
supervisor dies, the kernel continues a worker that somebody has stopped, so that it can notice and end.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Protocol

import trio

PROGRAM = "broker"
"""The module that a worker runs: `python -m PROGRAM worker`."""


class WorkerProcess(Protocol):
    """A process as the supervisor sees it."""

    @property
    def pid(self) -> int:
        """Of the operating system."""

    def lines(self) -> AsyncIterator[bytes]:
        """What it writes to its standard output, until it closes it."""

    def terminate(self) -> None:
        """Asks it to stop (SIGTERM)."""

    def kill(self) -> None:
        """Ends it (SIGKILL)."""

    def tell(self, message: bytes) -> None:
        """Writes to its standard input, unless the pipe is full or closed: then it is about to end."""

    async def wait(self) -> int:
        """Waits until it has ended. Returns the exit code; negative: the signal that ended it."""

    async def aclose(self) -> None:
        """Kills it if it has not ended, and closes its pipes."""


async def start_worker(arguments: Sequence[str]) -> WorkerProcess:
    """Starts a process that runs `broker worker` with these arguments. Raises `OSError` if that cannot be."""
    return await start_process([sys.executable, "-m", PROGRAM, "worker", *arguments])


async def start_process(command: Sequence[str]) -> WorkerProcess:
    """Starts a process. Raises `OSError` if that cannot be."""
    started = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    return _SpawnedProcess(started)


class _SpawnedProcess:
    def __init__(self, process: trio.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def lines(self) -> AsyncIterator[bytes]:
        unfinished = b""
        while self._process.stdout is not None and (part := await self._process.stdout.receive_some()):
            *lines, unfinished = (unfinished + part).split(b"\n")
            for line in lines:
                yield line

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def tell(self, message: bytes) -> None:
        pipe = self._process.stdin
        if isinstance(pipe, trio.lowlevel.FdStream):
            with suppress(OSError):
                os.write(pipe.fileno(), message)  # trio has made it non-blocking

    async def wait(self) -> int:
        return await self._process.wait()

    async def aclose(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                await pipe.aclose()
