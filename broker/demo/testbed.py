"""What the demo plays on: mock institutions and a broker, each a process of its own, started and stopped by handle."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp

from broker.config import DEFAULT
from broker.errors import BrokerError

_START_SECONDS = 30.0  # a cold start on a busy machine; usually one
_STOP_SECONDS = 10.0  # mocks and broker need less than one when nothing is under way
_TOLD = 2000  # characters of a program's log that are shown when it fails


class DemoFailedError(BrokerError):
    """Something was not as it should be; the demo ends with exit code 1."""


class Program:
    """A child that said in JSON, on its first line, that it is ready."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, Any]) -> None:
        self._process = process
        self.said = said

    async def ended(self) -> None:
        """Waits until it has ended on its own."""
        await self._process.wait()


@asynccontextmanager
async def running(*arguments: str, log: Path) -> AsyncIterator[Program]:
    """Runs `python -m arguments` for as long as the context lasts, with its log in a file; begins when it is ready.

    Raises `DemoFailedError` if it does not start.
    """
    with log.open("wb") as file:
        process = await _python(arguments, stdout=subprocess.PIPE, stderr=file)
    try:
        try:
            said = json.loads(await asyncio.wait_for(_first_line(process), _START_SECONDS))
        except (TimeoutError, ValueError):
            raise DemoFailedError(f"{arguments[0]} did not start:\n{_tail(log)}") from None
        yield Program(process, said)
    finally:
        await _stop(process)


async def _first_line(process: asyncio.subprocess.Process) -> bytes:
    return await process.stdout.readline() if process.stdout else b""


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Asks it to stop; kills it if it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_TOLD:]


async def _python(arguments: Sequence[str], *, stdout: int, stderr: IO[bytes] | int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=stdout, stderr=stderr)


async def output(*arguments: str) -> str:
    """What `python -m arguments` prints. Raises `DemoFailedError` if it fails."""
    process = await _python(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed, _ = await process.communicate()
    if process.returncode:
        msg = f"{' '.join(arguments[:2])} failed with exit code {process.returncode}"
        raise DemoFailedError(msg)
    return printed.decode()


@dataclass(frozen=True, slots=True)
class Stage:
    """The set: where everything is."""

    mocks: Program
    broker: Program
    session: aiohttp.ClientSession

    @property
    def address(self) -> str:
        """Where the broker listens."""
        return str(self.broker.said["grpc"])

    @property
    def urls(self) -> dict[str, str]:
        """The mocks' base URLs, by institution."""
        return dict(self.mocks.said["institutions"])

    async def stats(self) -> dict[str, dict[str, Any]]:
        """What each mock says it was asked."""
        return {name: await self._json(f"{url}/stats") for name, url in self.urls.items()}

    async def set_faults(self, institution: str, **faults: Any) -> None:
        """Replaces what is wrong with a mock."""
        async with self.session.post(f"{self.urls[institution]}/faults", json=faults) as response:
            response.raise_for_status()

    async def _json(self, url: str) -> dict[str, Any]:
        async with self.session.get(url) as response:
            return dict(await response.json())


@asynccontextmanager
async def stage(folder: Path, seed: int) -> AsyncIterator[Stage]:
    """Mocks and a broker at free ports, with everything they write in `folder`."""
    path = folder / "broker.toml"
    arguments = ("--port-base", "0", "--seed", str(seed))
    async with running("mock_institutions", "serve", *arguments, log=folder / "mocks.log") as mocks:
        path.write_text(configuration(folder, mocks.said["institutions"]), encoding="utf-8")
        async with (
            running("broker", "serve", "--config", str(path), log=folder / "broker.log") as broker,
            aiohttp.ClientSession() as session,
        ):
            yield Stage(mocks, broker, session)


def configuration(folder: Path, urls: dict[str, str]) -> str:
    """The default configuration with any free ports, its files in `folder`, and institutions at the URLs given."""
    text = DEFAULT.read_text(encoding="utf-8")
    text = re.sub(r'^(listen|metrics) = "(.*):\d+"', r'\1 = "\2:0"', text, flags=re.MULTILINE)
    text = text.replace('"var/', f'"{folder.as_posix()}/')
    head, *blocks = text.split("[[institution]]\n")
    return "[[institution]]\n".join([head, *(_placed(block, urls) for block in blocks)])


def _placed(block: str, urls: dict[str, str]) -> str:
    name = re.search(r'^id = "(.*)"', block, flags=re.MULTILINE)
    url = urls[name[1]] if name else ""
    return re.sub(r'^url = ".*"', f'url = "{url}/v1/inquiries"', block, flags=re.MULTILINE)
