"""A real broker and real mock institutions, each a process of its own, at free ports, with everything in a temp folder.

`broker` and `mocks` live as long as the session: leave them as you found them. Whoever breaks something starts a broker
of their own with `start_broker`, since a lane's breaker remembers.
"""

import json
import os
import re
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from broker.demo.testbed import configuration

SEED = 1
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a broker's descriptors are shown to root alone")
_PATIENCE = 120.0  # s for a program to start or stop; it takes one, and many on a machine with much else to do


class Program:
    """`python -m` something that says in JSON, on its first line, that it is ready, and ends well on SIGTERM."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self._log = folder / f"{arguments[0]}.log"
        self.printed = ""
        """What it wrote to stdout after its first line, once it has stopped."""
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=log
            )
        try:
            self.said: dict[str, Any] = json.loads(self._first_line())
        except BaseException:
            self.stop()
            raise

    def _first_line(self) -> bytes:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], _PATIENCE)[0], self.log
        line: bytes = self.process.stdout.readline()
        assert line, self.log
        return line

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text(errors="backslashreplace")

    def stop(self) -> int:
        """Its exit code."""
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.printed = self.process.stdout.read().decode(errors="backslashreplace")
            self.process.stdout.close()
        return self.process.returncode


@dataclass(frozen=True, slots=True)
class Mocks:
    """The five mock institutions of the default configuration."""

    program: Program

    @property
    def urls(self) -> dict[str, str]:
        """Base URLs by id."""
        return dict(self.program.said["institutions"])

    def stats(self, institution: str) -> dict[str, Any]:
        """What it counts."""
        return self._call(institution, "stats")

    @contextmanager
    def faults(self, institution: str, **faults: Any) -> Iterator[None]:
        """Faults for as long as the context lasts."""
        self._set_faults(institution, faults)
        try:
            yield
        finally:
            self._set_faults(institution, {})

    def _set_faults(self, institution: str, faults: dict[str, Any]) -> None:
        self._call(institution, "faults", json.dumps(faults).encode())

    def _call(self, institution: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.urls[institution]}/{path}", body) as reply:  # noqa: S310
            return dict(json.load(reply))


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker."""

    program: Program
    folder: Path
    """With all its files."""

    @property
    def address(self) -> str:
        """Where it takes gRPC."""
        return str(self.program.said["grpc"])

    @property
    def metrics(self) -> str:
        """Where it tells its metrics, over HTTP."""
        return str(self.program.said["metrics"])


class StartBroker(Protocol):
    """Starts a broker with settings of `[server]` other than the defaults."""

    def __call__(self, **settings: float) -> Broker: ...


@contextmanager
def _running(*arguments: str, folder: Path) -> Iterator[Program]:
    program = Program(*arguments, folder=folder)
    try:
        yield program
    finally:
        assert program.stop() == 0, program.log


@contextmanager
def _broker(folder: Path, mocks: Mocks, **settings: float) -> Iterator[Broker]:
    text = configuration(folder, mocks.urls)
    for key, value in settings.items():
        text, count = re.subn(rf"^{key} = \S+", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    without, signs = "\nsigns = {}", '\nsigns = {"瑶" = "皖0111"}'
    assert text.count(without) == 1
    (folder / "broker.toml").write_text(text.replace(without, signs), encoding="utf-8")
    with _running("broker", "serve", "--config", "broker.toml", folder=folder) as program:
        yield Broker(program, folder)


@pytest.fixture(scope="session")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mocks]:
    folder = tmp_path_factory.mktemp("mocks")
    arguments = ("mock_institutions", "serve", "--port-base", "0", "--seed", str(SEED))
    with _running(*arguments, folder=folder) as program:
        yield Mocks(program)


@pytest.fixture(scope="session")
def broker(mocks: Mocks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with _broker(tmp_path_factory.mktemp("broker"), mocks) as running:
        yield running


@pytest.fixture
def start_broker(mocks: Mocks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBroker]:
    """Starts a broker of the test's own, with an empty cache and fresh lanes."""
    with ExitStack() as stack:

        def start(**settings: float) -> Broker:
            return stack.enter_context(_broker(tmp_path_factory.mktemp("broker"), mocks, **settings))

        yield start


@pytest.fixture(scope="session")
def people() -> Sequence[dict[str, str]]:
    """Twenty persons of the mocks' population, as lines of a lookups' file."""
    return _population("persons")


@pytest.fixture(scope="session")
def things() -> Sequence[dict[str, str]]:
    """Twenty things on record at some mock."""
    return _population("properties")


def _population(mix: str) -> Sequence[dict[str, str]]:
    arguments = ("--count", "20", "--mix", mix, "--format", "jsonl", "--seed", str(SEED))
    command = [sys.executable, "-m", "mock_institutions", "population", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE).stdout  # noqa: S603
    return [json.loads(line) for line in printed.splitlines()]
