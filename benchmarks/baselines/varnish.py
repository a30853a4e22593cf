"""Varnish: one cacheable GET per inquiry, filled from `backend`, loaded by wrk."""

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

from benchmarks.baselines.daemon import daemon, free_port, program
from benchmarks.baselines.run import Run

_SCRIPT = Path(__file__).with_name("inquiries.lua")
_STORAGE = "malloc,2G"  # enough for half a million small objects at the kilobyte Varnish takes for each
_FILL_CONCURRENCY = 64  # GETs in flight while filling

# Threads and connections of wrk. No pair is the fastest on every machine, so the best is found by trying.
_WRK_OPTIONS = ((1, 16), (1, 64), (2, 8), (2, 32), (2, 128))
_TRIAL_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Varnish:
    """A running Varnish."""

    port: int
    folder: Path
    paths: Path
    """A file of the paths to get, one per line."""

    def fill(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Gets each key once, which fills the cache, and writes the paths for wrk. Returns the values by key."""
        self.paths.write_text("".join(f"{_path(key)}\n" for key in keys))
        return self.fetch(keys)

    def fetch(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of keys, by key. Raises `aiohttp.ClientResponseError` if one is missing."""
        return uvloop.run(_fetch(f"http://127.0.0.1:{self.port}", keys))

    def fastest_wrk(self, seed: int) -> tuple[int, int]:
        """The threads and connections of wrk with the highest rate."""
        return max(_WRK_OPTIONS, key=lambda options: self.ask(_TRIAL_SECONDS, seed, options).rate)

    def ask(self, seconds: int, seed: int, wrk: tuple[int, int]) -> Run:
        """Runs wrk for so long. `wrk`: its threads and connections."""
        threads, connections = wrk
        command = [program("wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)]
        arguments = [f"http://127.0.0.1:{self.port}", "--", str(self.paths), str(seed)]
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        printed = json.loads(done.stdout.splitlines()[-1])
        return Run(
            inquiries=printed["requests"] - printed["errors"], seconds=printed["seconds"], lost=printed["errors"]
        )

    def misses(self) -> int:
        """How many GETs it has passed on to its backend so far."""
        command = [program("varnishstat"), "-n", str(self.folder), "-1", "-f", "MAIN.cache_miss"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout.split()[1])


@contextmanager
def varnish(folder: Path, redis_port: int) -> Iterator[Varnish]:
    """Runs Varnish with its default parameters, in front of a backend that answers from Redis."""
    port, backend_port = free_port(), free_port()
    work = folder / "varnish"
    serve = [
        sys.executable,
        "-m",
        "benchmarks.baselines.backend",
        "--port",
        str(backend_port),
        "--redis",
        str(redis_port),
    ]
    command = [program("varnishd"), "-F", "-j", "none", "-n", str(work), "-s", _STORAGE]
    addresses = ["-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{backend_port}"]
    with (
        daemon(serve, port=backend_port, log=folder / "backend.log"),
        daemon([*command, *addresses], port=port, log=folder / "varnish.log"),
    ):
        yield Varnish(port, work, folder / "paths.txt")


def _path(key: str) -> str:
    return f"/v1/inquiry/{key}"


async def _fetch(url: str, keys: Sequence[str]) -> dict[str, bytes]:
    held: dict[str, bytes] = {}
    left = iter(keys)
    async with aiohttp.ClientSession(url, raise_for_status=True) as session, asyncio.TaskGroup() as group:
        for _ in range(_FILL_CONCURRENCY):
            group.create_task(_fetch_some(session, left, held))
    return held


async def _fetch_some(session: aiohttp.ClientSession, left: Iterator[str], held: dict[str, bytes]) -> None:
    for key in left:
        async with session.get(_path(key)) as response:
            held[key] = await response.read()
