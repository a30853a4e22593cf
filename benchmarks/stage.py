"""Where a benchmark plays: mocks and a broker as processes of their own, real gRPC, real HTTP, real LMDB.

Everything listens on loopback at free ports, lives in a temporary folder, and is stopped by handle at the end.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Self
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from broker.demo.testbed import configuration

FOUR = ("mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate")
"""The four national institutions of the default configurations."""

_DEFAULT = (*FOUR, "mock-bank-jing")
_BLOCK = "[[institution]]\n"
_STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """A process that says on its first line, in JSON, that it is ready, and stops on SIGTERM."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=log.parent,
            start_new_session=True,  # Ctrl-C is for the benchmark, which then ends its programs in order
        )
        if self._process.stdout is None:
            msg = "a pipe was asked for"
            raise RuntimeError(msg)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{arguments[0]} did not start:\n{log.read_text()}")
        self.said = json.loads(line)

    @property
    def pids(self) -> list[int]:
        """The process and those it says work for it: a broker's supervisor and workers."""
        return list({self._process.pid, *(worker["pid"] for worker in self.said.get("workers", ()))})

    def cpu_seconds(self) -> float:
        """CPU time used so far, in user and system mode, by all threads of all its processes."""
        return sum(map(_cpu_seconds, self.pids))

    def rss_mib(self) -> float:
        """Memory of its own, without pages of mapped files, in MiB: that of its largest process."""
        return max(map(rss_mib, self.pids))

    def stop(self) -> None:
        """Ends it, with patience."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int) -> float:
    """Memory of a process's own, without pages of mapped files, in MiB; 0 if it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A broker between its callers and its mocks."""

    folder: Path
    mocks: Program
    broker: Program

    @property
    def address(self) -> str:
        """Where to call the broker."""
        return str(self.broker.said["grpc"])

    def stats(self) -> dict[str, dict[str, int]]:
        """What each mock says it was asked."""
        return {name: _get(f"{url}/stats") for name, url in self.mocks.said["institutions"].items()}


@contextmanager
def stage(
    *,
    seed: int,
    institutions: Sequence[str] = FOUR,
    dialect: str = "json",
    national: int | None = None,
    program: Sequence[str] = ("broker", "serve"),
) -> Iterator[Stage]:
    """Mocks and a broker that knows some of the default ones, or so many national ones instead, in one dialect."""
    with tempfile.TemporaryDirectory(prefix="broker-benchmark-") as name:
        folder = Path(name)
        more = () if national is None else ("--national", str(national))
        arguments = ("--seed", str(seed), "--port-base", "0", *more)
        mocks = Program("mock_institutions", "serve", *arguments, log=folder / "mocks.log")
        try:
            text = _configuration(folder, mocks.said["institutions"], dialect, institutions if national is None else ())
            (folder / "broker.toml").write_text(text, encoding="utf-8")
            broker = Program(*program, "--config", "broker.toml", log=folder / "broker.log")
            try:
                yield Stage(folder, mocks, broker)
            finally:
                broker.stop()
        finally:
            mocks.stop()


def _configuration(folder: Path, urls: dict[str, str], dialect: str, institutions: Sequence[str]) -> str:
    """The demo's configuration, with only the institutions wanted, all in one dialect.

    If none is named, all that have a URL: each is made after the default one that its name begins with.
    """
    head, *blocks = configuration(folder, urls if institutions else dict.fromkeys(_DEFAULT, "")).split(_BLOCK)
    by_name = {name: block for block in blocks for name in _DEFAULT if f'id = "{name}"\n' in block}
    if institutions:
        chosen = [by_name[name] for name in institutions]
    else:
        chosen = [_renamed(by_name[name.rpartition("-")[0]], name, url) for name, url in urls.items()]
    return _BLOCK.join([head, *(re.sub(r'dialect = ".*"', f'dialect = "{dialect}"', one) for one in chosen)])


def _renamed(block: str, name: str, url: str) -> str:
    block = re.sub(r'^id = ".*"', f'id = "{name}"', block, flags=re.MULTILINE)
    return re.sub(r'^url = ".*"', f'url = "{url}/v1/inquiries"', block, flags=re.MULTILINE)


def _get(url: str) -> dict[str, int]:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - a mock's own address
        stats: dict[str, int] = json.load(response)
        return stats


_LOOK_EVERY = 0.2  # s between two looks at the broker's memory


@dataclass(slots=True)
class Stopwatch:
    """What a stretch of work cost: wall time here, CPU time of the broker and of the mocks, the broker's memory."""

    on: Stage
    seconds: float = 0.0
    broker_cpu: float = 0.0
    mocks_cpu: float = 0.0
    client_cpu: float = 0.0
    """Of this process."""
    peak_rss_mib: float = 0.0
    """Of the broker's largest process, without pages of mapped files."""
    _began: tuple[float, ...] = ()
    _ended: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._began = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        now = self._read()
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()
        self.seconds, self.broker_cpu, self.mocks_cpu, self.client_cpu = (
            after - before for after, before in zip(now, self._began, strict=True)
        )

    def _read(self) -> tuple[float, ...]:
        return time.perf_counter(), self.on.broker.cpu_seconds(), self.on.mocks.cpu_seconds(), time.process_time()

    def _watch(self) -> None:
        while True:
            self.peak_rss_mib = max(self.peak_rss_mib, self.on.broker.rss_mib())
            if self._ended.wait(_LOOK_EVERY):
                return


def report(title: str, rows: dict[str, str], result: dict[str, object]) -> None:
    """Prints a table for people, and as the last line the result as JSON, with machine and versions."""
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
    versions = {name: version(name) for name in ("grpcio", "protobuf", "lmdb", "trio", "aiohttp", "uvloop")}
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps(result | {"machine": machine, "versions": versions}))
