"""The supervisor, with tiny workers that write down what befalls them."""

import os
import signal
import socket
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from broker.errors import ConfigError
from broker.runtime import supervisor
from broker.runtime.supervisor import WorkerFailedError, WorkerPool, reserve, supervise

PATIENCE = 20.0  # s for a tiny process, on a machine with much else to do

WORKER = """
import json, os, signal, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # to be waited for
slot, mood, journal = sys.argv[1:]
journal = os.open(journal, os.O_WRONLY)
def note(what):
    os.write(journal, f"{os.getpid()} {what} {slot}\\n".encode())
def stay_until_orphaned():
    sys.stdin.read()
    note("is-orphaned")
    os._exit(1)
if mood == "hopeless":
    sys.exit(3)
threading.Thread(target=stay_until_orphaned, daemon=True).start()
note("begins")
if mood != "mute":
    print(json.dumps({"slot": int(slot), "pid": os.getpid()}), flush=True)
while signal.sigwait({signal.SIGTERM}) and mood == "stubborn":
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
        self.pids: set[int] = set()
        self._unread = b""
        self._stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    async def until(self, *lines: str) -> None:
        """Waits until there are so many of each of these lines."""
        wanted = Counter(lines)
        while not wanted <= Counter(self.lines):
            *whole, self._unread = (self._unread + await self._stream.receive_some()).split(b"\n")
            for line in whole:
                pid, _, what = line.decode().partition(" ")
                self.pids.add(int(pid))
                self.lines.append(what)

    async def aclose(self) -> None:
        await self._stream.aclose()


class Company:
    """A supervisor at work, and how to reach its workers."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.moods: dict[int, list[str]] = defaultdict(list)
        """By slot: of the workers to come, "steady" once there are no more."""
        self.commands: dict[int, Sequence[str]] = {}
        """Instead of the usual ones, by slot."""
        self.said: list[Sequence[dict[str, Any]]] = []
        """What `ready` was called with."""
        self.may_reload = True
        self.ready = trio.Event()

    def command(self, slot: int) -> Sequence[str]:
        if slot in self.commands:
            return self.commands[slot]
        mood = self.moods[slot].pop(0) if self.moods[slot] else "steady"
        return [sys.executable, "-S", "-c", WORKER, str(slot), mood, str(self.journal.path)]

    def tell(self, said: Sequence[dict[str, Any]]) -> None:
        self.said.append(said)
        self.ready.set()

    @asynccontextmanager
    async def at_work(self, *, size: int = 2, grace: float = PATIENCE) -> AsyncIterator[None]:
        """Supervises; when left, it must end within a bounded time: SIGTERM has to be sent before."""
        pool = WorkerPool(size=size, command=self.command, grace=grace)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor._supervise, pool, self.tell, lambda: self.may_reload)
                yield
        assert all(map(is_gone, self.journal.pids)), "nobody outlives the supervisor"

    def pid(self, slot: int) -> int:
        """Of the first worker in a slot."""
        return int(self.said[0][slot]["pid"])


@pytest.fixture(autouse=True)
def outlived_signals() -> Iterator[None]:
    """A supervisor that has ended too soon must not end the tests."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    journal = Journal(tmp_path / "journal")
    yield Company(journal)
    await journal.aclose()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# --- from start to end ------------------------------------------------------------------------------------------------


def test_when_all_are_ready_it_is_told_what_they_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal")
    reader = os.open(tmp_path / "journal", os.O_RDONLY | os.O_NONBLOCK)
    told: list[Sequence[dict[str, Any]]] = []

    def tell(said: Sequence[dict[str, Any]]) -> None:
        told.append(said)
        signal.raise_signal(signal.SIGTERM)

    def command(slot: int) -> Sequence[str]:
        return [sys.executable, "-S", "-c", WORKER, str(slot), "steady", str(tmp_path / "journal")]

    supervise(WorkerPool(size=3, command=command, grace=PATIENCE), ready=tell, may_reload=lambda: True)
    journal = [line.partition(" ")[2] for line in os.read(reader, 4096).decode().splitlines()]
    os.close(reader)
    (said,) = told
    assert [each["slot"] for each in said] == [0, 1, 2]
    assert all(is_gone(each["pid"]) for each in said)
    assert sorted(journal[-3:]) == ["leaves 0", "leaves 1", "leaves 2"], "they were asked to, and not killed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_ends_all_and_then_itself(company: Company, number: signal.Signals) -> None:
    async with company.at_work():
        await company.ready.wait()
        signal.raise_signal(number)
    await company.journal.until("leaves 0", "leaves 1")
    assert is_gone(company.pid(0))
    assert is_gone(company.pid(1))


async def test_who_will_not_leave_is_killed_after_the_grace_period(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PATIENCE", 0.05)
    company.moods[1] = ["stubborn"]
    async with company.at_work(grace=0.05):
        await company.ready.wait()
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 0", "stays 1")
    assert is_gone(company.pid(1))


# --- starting ---------------------------------------------------------------------------------------------------------


async def test_one_that_cannot_start_ends_all_with_its_exit_code(company: Company) -> None:
    company.moods[1] = ["hopeless"]
    with pytest.RaisesGroup(pytest.RaisesExc(WorkerFailedError, check=lambda error: error.code == 3)):
        async with company.at_work(size=3):
            pass
    assert not company.said


def test_one_that_cannot_start_is_what_the_caller_hears_of() -> None:
    pool = WorkerPool(
        size=2, command=lambda slot: [sys.executable, "-S", "-c", f"raise SystemExit({slot + 4})"], grace=PATIENCE
    )
    with pytest.raises(WorkerFailedError, match="could not start") as failed:
        supervise(pool, ready=lambda _: None, may_reload=lambda: True)
    assert failed.value.code in (4, 5)


async def test_the_others_end_with_the_one_that_cannot_start(company: Company, tmp_path: Path) -> None:
    """It fails when the others have begun and are not ready."""
    os.mkfifo(tmp_path / "cue")
    company.moods[0] = ["mute"]
    company.commands[1] = [sys.executable, "-S", "-c", f"open({str(tmp_path / 'cue')!r}); raise SystemExit(3)"]
    with pytest.RaisesGroup(WorkerFailedError):
        async with company.at_work():
            await company.journal.until("begins 0")
            os.close(os.open(tmp_path / "cue", os.O_WRONLY))
    assert not company.said
    (pid,) = company.journal.pids
    assert is_gone(pid)


async def test_it_can_be_stopped_while_one_does_not_get_ready(company: Company) -> None:
    company.moods[1] = ["mute"]
    async with company.at_work():
        await company.journal.until("begins 0", "begins 1")
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 1")
    assert not company.said, "it was never ready"


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_one_that_crashes_is_started_again_and_the_others_go_on(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES", (0.0,))
    async with company.at_work(size=3):
        await company.ready.wait()
        os.kill(company.pid(1), signal.SIGKILL)
        await company.journal.until("begins 1", "begins 1")
        assert not is_gone(company.pid(0))
        assert not is_gone(company.pid(2))
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 0", "leaves 1", "leaves 2")
    assert Counter(company.journal.lines)["begins 0"] == 1
    assert len(company.said) == 1, "that all are ready is said once"


async def test_who_cannot_live_is_tried_again_and_again(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES", (0.0, 0.0))
    company.moods[1] = ["steady", "hopeless", "hopeless", "hopeless", "steady"]
    async with company.at_work():
        await company.ready.wait()
        os.kill(company.pid(1), signal.SIGKILL)
        await company.journal.until("begins 1", "begins 1")
        signal.raise_signal(signal.SIGTERM)
    assert not company.moods[1]


async def test_who_did_not_live_is_not_started_again_at_once_and_stopping_does_not_wait(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES", (3_600.0,))
    async with company.at_work():
        await company.ready.wait()
        os.kill(company.pid(0), signal.SIGKILL)
        while not is_gone(company.pid(0)):  # reaped: the supervisor knows
            await trio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 1")
    assert Counter(company.journal.lines)["begins 0"] == 1


async def test_who_is_told_to_stop_while_being_started_stops(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES", (0.0,))
    start = company.command

    def command(slot: int) -> Sequence[str]:
        if company.said:  # the second start: the order comes when the process is not there yet
            signal.raise_signal(signal.SIGTERM)
        return start(slot)

    company.command = command  # type: ignore[method-assign]
    async with company.at_work():
        await company.ready.wait()
        os.kill(company.pid(0), signal.SIGKILL)


# --- replacing --------------------------------------------------------------------------------------------------------


async def test_workers_are_replaced_one_at_a_time(company: Company) -> None:
    async with company.at_work(size=3):
        await company.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await company.journal.until(*[f"begins {slot}" for slot in (0, 0, 1, 1, 2, 2)])
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until(*[f"leaves {slot}" for slot in (0, 0, 1, 1, 2, 2)])
    assert company.journal.lines[3:9] == ["leaves 0", "begins 0", "leaves 1", "begins 1", "leaves 2", "begins 2"]


async def test_asked_twice_it_replaces_never_two_at_a_time(company: Company) -> None:
    async with company.at_work():
        await company.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await company.journal.until("leaves 0")
        signal.raise_signal(signal.SIGHUP)
        await company.journal.until(*["begins 0", "begins 1"] * 3)
        signal.raise_signal(signal.SIGTERM)
    replacing = company.journal.lines[2:10]
    assert replacing == ["leaves 0", "begins 0", "leaves 1", "begins 1"] * 2


async def test_what_may_not_be_read_again_leaves_all_at_work(company: Company) -> None:
    company.may_reload = False
    async with company.at_work():
        await company.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await trio.testing.wait_all_tasks_blocked()
        assert not is_gone(company.pid(0))
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 0", "leaves 1")
    assert Counter(company.journal.lines)["begins 0"] == 1


async def test_it_can_be_stopped_while_a_successor_does_not_get_ready(company: Company) -> None:
    company.moods[0] = ["steady", "mute"]
    async with company.at_work():
        await company.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await company.journal.until("begins 0", "begins 0")
        signal.raise_signal(signal.SIGTERM)
    await company.journal.until("leaves 0", "leaves 0", "leaves 1")
    assert Counter(company.journal.lines)["begins 1"] == 1, "the next is not replaced before this one is ready"


async def test_a_successor_that_fails_at_first_holds_the_next_up(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES", (0.0,))
    company.moods[0] = ["steady", "hopeless", "hopeless"]
    async with company.at_work():
        await company.ready.wait()
        signal.raise_signal(signal.SIGHUP)
        await company.journal.until("begins 0", "begins 0", "begins 1", "begins 1")
        signal.raise_signal(signal.SIGTERM)
    assert company.journal.lines[2:6] == ["leaves 0", "begins 0", "leaves 1", "begins 1"]


# --- the port ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["127.0.0.1", "[::1]"])
def host(request: pytest.FixtureRequest) -> str:
    family = socket.AF_INET6 if "[" in request.param else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((request.param.strip("[]"), 0))
    except OSError:
        pytest.skip("there is no such address here")
    return str(request.param)


def test_a_free_port_is_chosen_and_named(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held):
        assert address == f"{host}:{held.getsockname()[1]}"
        assert not address.endswith(":0")


def test_several_processes_may_listen_at_a_reserved_port_and_get_what_comes(host: str) -> None:
    held, address = reserve(f"{host}:0")
    place = (host.strip("[]"), int(address.rpartition(":")[2]))
    with closing(held), socket.socket(held.family) as one, socket.socket(held.family) as other:
        for listener in (one, other):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(place)
            listener.listen()
        other.close()
        for _ in range(10):  # what holds the port takes no connections
            with socket.create_connection(place, timeout=PATIENCE):
                one.accept()[0].close()


def test_a_port_that_another_broker_holds_is_refused(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held), pytest.raises(ConfigError, match=r"server\.listen.*is another broker running"):
        reserve(address)
    held, again = reserve(address)
    held.close()
    assert again == address


def test_a_port_that_a_worker_listens_at_is_refused(host: str) -> None:
    """Whoever reserved it may have been killed: its workers are not gone yet."""
    held, address = reserve(f"{host}:0")
    with socket.socket(held.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(held.getsockname())
        listener.listen()
        held.close()
        with pytest.raises(ConfigError):
            reserve(address)


@pytest.mark.parametrize("address", ["no-such-host.invalid:0", "192.0.2.1:0"])
def test_an_address_that_is_not_ours_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.listen"):
        reserve(address)
