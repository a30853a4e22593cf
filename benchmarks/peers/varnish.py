"""Varnish: one cacheable GET per inquiry, filled from `backend`, driven by wrk."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.peers.daemon import daemon, free_port, program
from benchmarks.peers.run import Run

_SCRIPT = Path(__file__).with_name("inquiries.lua")
_STORAGE = "malloc,2G"  # enough for half a million small objects at the kilobyte Varnish takes for each
_AT_A_TIME = 64  # GETs while filling

# Threads and connections of wrk. None is the fastest everywhere, so the best is found by trying.
_DRIVES = ((1, 16), (1, 64), (2, 8), (2, 32), (2, 128))
_TRIAL_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Varnish:
    """A Varnish that runs."""

    port: int
    folder: Path
    paths: Path
    """A file of the paths to ask for, one a line."""

    def fill(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Has it ask its backend about each, and notes what to ask for from now on; gives what it says, by key."""
        self.paths.write_text("".join(f"{_path(key)}\n" for key in keys))
        return self.fetch(keys)

    def fetch(self, keys: Sequence[str]) -> dict[str, bytes]:
        """What it has to say about each, by key. Raises `aiohttp.ClientResponseError` if it says it does not know."""
        return uvloop.run(_fetch(f"http://127.0.0.1:{self.port}", keys))

    def fastest_drive(self, seed: int) -> tuple[int, int]:
        """The threads and connections of wrk with which it answers most."""
        return max(_DRIVES, key=lambda drive: self.ask(_TRIAL_SECONDS, seed, drive).rate)

    def ask(self, seconds: int, seed: int, drive: tuple[int, int]) -> Run:
        """Lets wrk ask for so long."""
        threads, connections = drive
        command = [program("wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
        arguments = [f"http://127.0.0.1:{self.port}", "--", str(self.paths), str(seed)]
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        said = json.loads(done.stdout.splitlines()[-1])
        return Run(inquiries=said["requests"] - said["errors"], seconds=said["seconds"], lost=said["errors"])

    def misses(self) -> int:
        """How many GETs it has had to ask its backend for, so far."""
        command = [program("varnishstat"), "-n", str(self.folder), "-1", "-f", "MAIN.cache_miss"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout.split()[1])


@contextmanager
def varnish(folder: Path, redis_port: int) -> Iterator[Varnish]:
    """Varnish with its default parameters, in front of a backend that answers from Redis."""
    port, backend_port = free_port(), free_port()
    work = folder / "varnish"
    serve = [sys.executable, "-m", "benchmarks.peers.backend", "--port", str(backend_port), "--redis", str(redis_port)]
    command = [program("varnishd"), "-F", "-j", "none", "-n", str(work), "-s", _STORAGE]
    place = ["-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{backend_port}"]
    with (
        daemon(serve, port=backend_port, log=folder / "backend.log"),
        daemon([*command, *place], port=port, log=folder / "varnish.log"),
    ):
        yield Varnish(port, work, folder / "paths.txt")


def _path(key: str) -> str:
    return f"/v1/inquiry/{key}"


async def _fetch(url: str, keys: Sequence[str]) -> dict[str, bytes]:
    held: dict[str, bytes] = {}
    left = iter(keys)
    async with aiohttp.ClientSession(url, raise_for_status=True) as session, asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(_fetch_some(session, left, held))
    return held


async def _fetch_some(session: aiohttp.ClientSession, left: Iterator[str], held: dict[str, bytes]) -> None:
    for key in left:
        async with session.get(_path(key)) as response:
            held[key] = await response.read()
