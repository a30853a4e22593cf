"""The supervisor with real processes and real signals: tiny workers that write down what befalls them.

What does not depend on processes is tested in virtual time (test_worker_pool).
"""

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.runtime import supervisor
from broker.runtime.held_signals import hold_reloads
from broker.runtime.restart_policy import NextStart
from broker.runtime.supervised_slot import WorkerFailedError
from broker.runtime.supervisor import supervise
from broker.runtime.watchdog import Limits
from broker.runtime.worker_messages import Ready
from broker.runtime.worker_pool import WorkerPool
from broker.runtime.worker_process import WorkerProcess, start_process

PATIENCE = 60.0  # s for a tiny process, on a machine with much else to do

WORKER = """
import json, os, signal, sys, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # to be waited for
slot, behaviour, journal = sys.argv[1:]
journal = os.open(journal, os.O_WRONLY)
def note(what):
    os.write(journal, f"{os.getpid()} {what} {slot}\\n".encode())
def wait_for_orphaning():
    while sys.stdin.read(1):
        note("hears")
    note("is-orphaned")
    os._exit(1)
def beat():
    while True:
        print(json.dumps({"type": "alive"}), flush=True)
        time.sleep(0.1)
threading.Thread(target=wait_for_orphaning, daemon=True).start()
note("begins")
if behaviour != "mute":
    print(json.dumps({"type": "ready", "pid": os.getpid(), "grpc": slot, "metrics": slot}), flush=True)
    threading.Thread(target=beat, daemon=True).start()
while signal.sigwait({signal.SIGTERM}) and behaviour == "stubborn":
    note("stays")
note("leaves")
os._exit(0)
"""


class Journal:
    """What the workers write down, in the order in which it happened: lines such as "begins 0"."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.lines: list[str] = []
        self.pids: list[int] = []
        """In the order in which they wrote first."""
        self._unread = b""
        self._stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    async def until(self, *lines: str) -> None:
        """Waits until there are so many of each of these lines."""
        wanted = Counter(lines)
        while not wanted <= Counter(self.lines):
            *whole, self._unread = (self._unread + await self._stream.receive_some()).split(b"\n")
            for line in whole:
                pid, _, what = line.decode().partition(" ")
                self.pids += [] if int(pid) in self.pids else [int(pid)]
                self.lines.append(what)

    async def aclose(self) -> None:
        await self._stream.aclose()


class Harness:
    """A supervisor, and how to reach its workers."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.behaviours: dict[int, str] = {}
        """By slot; "steady" unless said otherwise."""
        self.told: list[Sequence[Ready]] = []
        """What `on_ready` was called with."""
        self.ready = trio.Event()

    async def launch(self, slot: int, _: NextStart) -> WorkerProcess:
        behaviour = self.behaviours.get(slot, "steady")
        return await start_process(worker_command(slot, behaviour, self.journal.path))

    def on_ready(self, workers: Sequence[Ready]) -> None:
        self.told.append(workers)
        self.ready.set()

    @asynccontextmanager
    async def supervised(self, *, size: int = 2, limits: Limits | None = None) -> AsyncIterator[None]:
        """Supervises; SIGTERM or SIGINT has to be sent before the context is left."""
        pool = WorkerPool(size, launch=self.launch, limits=limits or Limits(draining=PATIENCE, serving=PATIENCE))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor._supervise, pool, self.on_ready, lambda: True)
            yield
        assert all(map(is_gone, self.journal.pids)), "a worker outlives the supervisor"

    def pid(self, slot: int) -> int:
        """Of the first worker in a slot."""
        return self.told[0][slot].pid


def worker_command(slot: int, behaviour: str, journal: Path) -> Sequence[str]:
    return [sys.executable, "-S", "-c", WORKER, str(slot), behaviour, str(journal)]


@pytest.fixture(autouse=True)
def outlived_signals() -> Iterator[None]:
    """A supervisor that has ended too soon must not end the tests."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    journal = Journal(tmp_path / "journal")
    yield Harness(journal)
    await journal.aclose()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_when_all_are_ready_it_is_told_where_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    reader = os.open(tmp_path / "journal", os.O_RDONLY | os.O_NONBLOCK)
    told: list[Sequence[Ready]] = []

    def on_ready(workers: Sequence[Ready]) -> None:
        told.append(workers)
        signal.raise_signal(signal.SIGTERM)

    async def launch(slot: int, _: NextStart) -> WorkerProcess:
        return await start_process(worker_command(slot, "steady", tmp_path / "journal"))

    pool = WorkerPool(3, launch=launch, limits=Limits(draining=PATIENCE))
    supervise(pool, on_ready=on_ready, may_reload=lambda: True)
    journal = [line.partition(" ")[2] for line in os.read(reader, 4096).decode().splitlines()]
    os.close(reader)
    (workers,) = told
    assert [each.grpc for each in workers] == ["0", "1", "2"]
    assert all(is_gone(each.pid) for each in workers)
    assert sorted(journal[-3:]) == ["leaves 0", "leaves 1", "leaves 2"], "they were asked to, and not killed"


def test_a_worker_that_cannot_start_is_the_error_of_the_supervisor() -> None:
    async def launch(slot: int, _: NextStart) -> WorkerProcess:
        return await start_process([sys.executable, "-S", "-c", f"raise SystemExit({slot + 4})"])

    pool = WorkerPool(2, launch=launch, limits=Limits(draining=PATIENCE))
    with pytest.raises(WorkerFailedError, match="could not start: it ended with exit code") as failed:
        supervise(pool, on_ready=lambda _: None, may_reload=lambda: True)
    assert failed.value.code in (4, 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_stops_all_workers_and_ends(harness: Harness, number: signal.Signals) -> None:
    async with harness.supervised():
        await harness.ready.wait()
        signal.raise_signal(number)
    await harness.journal.until("leaves 0", "leaves 1")


async def test_it_can_be_stopped_while_a_worker_does_not_get_ready(harness: Harness) -> None:
    harness.behaviours[1] = "mute"
    async with harness.supervised():
        await harness.journal.until("begins 0", "begins 1")
        signal.raise_signal(signal.SIGTERM)
    await harness.journal.until("leaves 1")
    assert not harness.told, "it was never ready"


async def test_a_worker_that_does_not_stop_is_killed(harness: Harness) -> None:
    harness.behaviours[1] = "stubborn"
    async with harness.supervised(limits=Limits(draining=0.05, ending=0.05, serving=PATIENCE)):
        await harness.ready.wait()
        signal.raise_signal(signal.SIGTERM)
    assert is_gone(harness.pid(1))


async def test_a_worker_that_is_stopped_by_a_signal_is_killed_and_replaced(harness: Harness) -> None:
    async with harness.supervised(limits=Limits(draining=PATIENCE, serving=3.0)):
        await harness.ready.wait()
        os.kill(harness.pid(1), signal.SIGSTOP)
        await harness.journal.until("begins 1", "begins 1")
        assert is_gone(harness.pid(1))
        signal.raise_signal(signal.SIGTERM)


async def test_a_worker_that_crashes_is_replaced(harness: Harness) -> None:
    async with harness.supervised():
        await harness.ready.wait()
        os.kill(harness.pid(1), signal.SIGKILL)
        await harness.journal.until("begins 1", "begins 1")
        assert not is_gone(harness.pid(0))
        signal.raise_signal(signal.SIGTERM)
    await harness.journal.until("leaves 0", "leaves 1")
    assert len(harness.told) == 1, "that all are ready is told once"


async def test_asked_twice_it_replaces_never_two_workers_at_a_time(harness: Harness) -> None:
    async with harness.supervised():
        await harness.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await harness.journal.until("leaves 0")
        signal.raise_signal(signal.SIGHUP)
        await harness.journal.until(*["begins 0", "begins 1"] * 3)
        signal.raise_signal(signal.SIGTERM)
    assert harness.journal.lines[2:10] == ["leaves 0", "begins 0", "leaves 1", "begins 1"] * 2


async def test_asked_while_it_starts_it_first_starts(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which would end this process
    hold_reloads()
    signal.raise_signal(signal.SIGHUP)  # before it is supervised
    async with harness.supervised():
        signal.raise_signal(signal.SIGHUP)  # before a worker is ready
        await harness.journal.until(*["begins 0", "begins 1"] * 2)
        await until_logged(caplog, "reloaded")
        signal.raise_signal(signal.SIGTERM)
    assert sorted(harness.journal.lines[:2]) == ["begins 0", "begins 1"]
    assert harness.journal.lines[2:6] == ["leaves 0", "begins 0", "leaves 1", "begins 1"]


async def until_logged(caplog: pytest.LogCaptureFixture, word: str) -> None:
    while not any(word in message for message in caplog.messages):
        await trio.lowlevel.checkpoint()


async def test_start_reload_and_stop_are_logged_in_a_line_each(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with harness.supervised():
        await harness.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await until_logged(caplog, "reloaded")
        signal.raise_signal(signal.SIGTERM)
    lines = [record.getMessage() for record in caplog.records if record.name == supervisor.__name__]
    assert len(lines) == 3
    assert re.fullmatch(r"started: workers: 2; address: 0; it took \d+\.\d s", lines[0])
    assert re.fullmatch(r"reloaded: workers: 2; address: 0; it took \d+\.\d s", lines[1])
    assert re.fullmatch(r"stopped: workers: 2; it took \d+\.\d s", lines[2])


async def test_a_configuration_that_is_not_valid_leaves_all_workers_alone_and_they_are_told(harness: Harness) -> None:
    asked = trio.Event()

    def may_reload() -> bool:
        asked.set()
        return False

    pool = WorkerPool(1, launch=harness.launch, limits=Limits(draining=PATIENCE, serving=PATIENCE))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor._supervise, pool, harness.on_ready, may_reload)
        await harness.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await asked.wait()
        await harness.journal.until("hears 0")
        await trio.testing.wait_all_tasks_blocked()
        assert not is_gone(harness.pid(0))
        signal.raise_signal(signal.SIGTERM)
    await harness.journal.until("leaves 0")
    assert Counter(harness.journal.lines)["begins 0"] == 1


async def test_it_can_be_stopped_while_a_successor_does_not_get_ready(harness: Harness) -> None:
    async with harness.supervised():
        await harness.ready.wait()
        harness.behaviours[0] = "mute"
        signal.raise_signal(signal.SIGHUP)
        await harness.journal.until("begins 0", "begins 0")
        signal.raise_signal(signal.SIGTERM)
    await harness.journal.until("leaves 0", "leaves 0", "leaves 1")
    assert Counter(harness.journal.lines)["begins 1"] == 1, "the next is not replaced before this one is ready"


async def test_workers_are_out_of_reach_of_the_terminal(harness: Harness) -> None:
    """Ctrl-C goes to the terminal's process group."""
    async with harness.supervised():
        await harness.ready.wait()
        assert [os.getpgid(harness.pid(slot)) for slot in (0, 1)] == [harness.pid(0), harness.pid(1)]
        signal.raise_signal(signal.SIGTERM)
