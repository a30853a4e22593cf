"""The demo's testbed: mock institutions and a broker as child processes."""

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

from broker.client import Credentials
from broker.config import DEFAULT
from broker.demo.certificates import Certificates
from broker.errors import BrokerError

BLOCK = "[[institution]]\n"
"""The first line of an institution in a configuration."""
_START_SECONDS = 30.0  # s; usually one, but a cold start on a busy machine takes longer
_STOP_SECONDS = 10.0  # s; mocks and broker need less than one when idle
_SHOWN = 2000  # characters of a program's log that are shown if it fails


class DemoFailedError(BrokerError):
    """A program did not start, or a result was wrong. The demo ends with exit code 1."""


class Program:
    """A child process that is ready. `announced` is the first line of its output, decoded from JSON."""

    def __init__(self, process: asyncio.subprocess.Process, announced: dict[str, Any]) -> None:
        self._process = process
        self.announced = announced

    async def ended(self) -> None:
        """Waits until it has ended by itself."""
        await self._process.wait()


@asynccontextmanager
async def running(*arguments: str, log: Path) -> AsyncIterator[Program]:
    """Runs `python -m arguments` while the context is open, with its log in a file. Waits until it is ready.

    Raises `DemoFailedError` if it does not start.
    """
    with log.open("wb") as file:
        process = await _python(arguments, stdout=subprocess.PIPE, stderr=file)
    try:
        try:
            announced = json.loads(await asyncio.wait_for(_first_line(process), _START_SECONDS))
        except (TimeoutError, ValueError):
            raise DemoFailedError(f"{arguments[0]} did not start:\n{_tail(log)}") from None
        yield Program(process, announced)
    finally:
        await _stop(process)


async def _first_line(process: asyncio.subprocess.Process) -> bytes:
    return await process.stdout.readline() if process.stdout else b""


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Terminates it, and kills it if it does not end in time."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_SHOWN:]


async def _python(arguments: Sequence[str], *, stdout: int, stderr: IO[bytes] | int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, stdout=stdout, stderr=stderr)


async def output(*arguments: str) -> str:
    """The output of `python -m arguments`. Raises `DemoFailedError` if it fails."""
    process = await _python(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed, _ = await process.communicate()
    if process.returncode:
        msg = f"{' '.join(arguments[:2])} failed with exit code {process.returncode}"
        raise DemoFailedError(msg)
    return printed.decode()


@dataclass(frozen=True, slots=True)
class Testbed:
    """The running programs."""

    mocks: Program
    broker: Program
    session: aiohttp.ClientSession
    credentials: Credentials
    """Of a gateway for the courts of the demo."""
    folder: Path
    """With all files of the broker."""

    @property
    def address(self) -> str:
        """The address of the broker."""
        return str(self.broker.announced["grpc"])

    @property
    def urls(self) -> dict[str, str]:
        """The base URLs of the mocks, by institution."""
        return dict(self.mocks.announced["institutions"])

    async def stats(self) -> dict[str, dict[str, Any]]:
        """The counters of each mock."""
        return {name: await self._json(f"{url}/stats") for name, url in self.urls.items()}

    async def set_faults(self, institution: str, **faults: Any) -> None:
        """Replaces the fault settings of a mock."""
        async with self.session.post(f"{self.urls[institution]}/faults", json=faults) as response:
            response.raise_for_status()

    async def _json(self, url: str) -> dict[str, Any]:
        async with self.session.get(url) as response:
            return dict(await response.json())


@asynccontextmanager
async def testbed(folder: Path, seed: int) -> AsyncIterator[Testbed]:
    """Starts mocks and a broker on free ports, with all their files in `folder`. Everything speaks mutual TLS."""
    path = folder / "broker.toml"
    certificates = Certificates.make(folder / "certs")
    arguments = ("--port-base", "0", "--seed", str(seed), "--tls", str(certificates.folder))
    async with running("mock_institutions", "serve", *arguments, log=folder / "mocks.log") as mocks:
        path.write_text(configuration(folder, mocks.announced["institutions"], certificates), encoding="utf-8")
        async with (
            running("broker", "serve", "--config", str(path), log=folder / "broker.log") as broker,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=certificates.towards_institutions())) as session,
        ):
            yield Testbed(mocks, broker, session, certificates.gateway(), folder)


def configuration(folder: Path, urls: dict[str, str], certificates: Certificates | None = None) -> str:
    """The default configuration, with any free ports, its files in `folder`, and the institutions at these URLs.

    With certificates, everything speaks mutual TLS.
    """
    text = with_free_ports(DEFAULT.read_text(encoding="utf-8"))
    return with_tls(with_urls(text.replace('"var/', f'"{folder.as_posix()}/'), urls), certificates)


def with_free_ports(text: str) -> str:
    """A configuration with any free ports."""
    return re.sub(r'^(listen|metrics) = "(.*):\d+"', r'\1 = "\2:0"', text, flags=re.MULTILINE)


def with_urls(text: str, urls: dict[str, str]) -> str:
    """A configuration with the institutions at these URLs."""
    head, *blocks = institution_blocks(text)
    return BLOCK.join([head, *(_with_url(block, urls) for block in blocks)])


def with_tls(text: str, certificates: Certificates | None) -> str:
    """A configuration with certificates, if there are any, towards courts and institutions."""
    if certificates is None:
        return text
    head, *blocks = institution_blocks(with_server_tls(text, certificates))
    blocks = [block.replace('url = "http://', 'url = "https://').rstrip() for block in blocks]
    return BLOCK.join([head, *(f"{block}\n{certificates.client_keys()}\n\n" for block in blocks)])


def with_server_tls(text: str, certificates: Certificates) -> str:
    """A configuration with certificates and the policy, towards courts only."""
    for key, value in certificates.server_keys().items():
        text = re.sub(rf"^{key} = (\"\"|\[\])( *)", f"{key} = {value} ", text, count=1, flags=re.MULTILINE)
    return text


def institution_blocks(text: str) -> list[str]:
    """What comes before the first institution of a configuration, and the text of each."""
    return re.split(rf"^{re.escape(BLOCK)}", text, flags=re.MULTILINE)  # not within a comment


def _with_url(block: str, urls: dict[str, str]) -> str:
    name = re.search(r'^id = "(.*)"', block, flags=re.MULTILINE)
    url = urls[name[1]] if name else ""
    return re.sub(r'^url = ".*"', f'url = "{url}/v1/inquiries"', block, flags=re.MULTILINE)
