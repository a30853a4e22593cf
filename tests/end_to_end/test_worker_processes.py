"""Several workers on one host as real processes, which can be stopped, killed and replaced."""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from broker.client import Client, Terms
from broker.demo.testbed import configuration
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from mock_institutions.population import Lookup
from tests.end_to_end import testbed as in_process
from tests.end_to_end.conftest import Mocks, Program, needs_root
from tests.end_to_end.stock_clients import blocking_clients, node_clients
from tests.end_to_end.testbed import (
    NATIONAL,
    Reports,
    as_message,
    asking,
    check_shape,
    check_truth,
    mandate,
    run,
    sample,
)
from tests.store.test_crash_check import enlarge_blocks
from tests.store.test_lmdb_store import set_aside

SLOW = {"distribution": "fixed", "seconds": 0.3}
PATIENCE = 300.0  # s until a test counts as hanging
AGE = 0.5  # s; the shorter, the more often connections age during a test


class WorkerPool:
    """`broker serve --workers 2` in a folder of its own, started and stopped as often as one likes."""

    def __init__(self, folder: Path, mocks: Mocks, **settings: float) -> None:
        self.mocks = mocks
        self.file = folder / "broker.toml"
        self.file.write_text(configuration(folder, mocks.urls), encoding="utf-8")
        self.configure(max_connection_age=AGE, **settings)
        self._folder = folder
        self._listen: tuple[str, ...] = ()
        self.start()

    def configure(self, **settings: float) -> None:
        """Changes settings in the file, in every section that has them."""
        text = self.file.read_text(encoding="utf-8")
        for key, value in settings.items():
            text, count = re.subn(rf"^{key} = [0-9._]+", f"{key} = {value}", text, flags=re.MULTILINE)
            assert count, key
        self.file.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """At the same port each time."""
        arguments = ("broker", "serve", "--config", "broker.toml", "--workers", "2", *self._listen)
        self.program = Program(*arguments, folder=self._folder)
        self._listen = ("--listen", self.program.said["grpc"])

    def pids(self) -> set[int]:
        """The workers there are."""
        return children(self.program.process.pid)

    def slot(self, pid: int) -> int:
        """Of a worker that was there at the start."""
        return [worker["pid"] for worker in self.program.said["workers"]].index(pid)

    def tell(self, number: signal.Signals) -> None:
        self.program.process.send_signal(number)

    def asked(self) -> int:
        """How many inquiries the institutions have been sent."""
        return sum(self.mocks.stats(name)["inquiries"] for name in self.mocks.urls)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """To one of the workers, whichever the system chooses."""
        async with grpc.aio.insecure_channel(self.program.said["grpc"], options=in_process.CLIENT_OPTIONS) as channel:
            yield Connection(channel)

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[dict[int, "Connection"]]:
        """One to each of the workers that were there at the start, by their pids."""
        async with AsyncExitStack() as stack:
            found: dict[int, Connection] = {}
            http = await stack.enter_async_context(aiohttp.ClientSession())
            pids = [worker["pid"] for worker in self.program.said["workers"]]
            counts = {pid: await self.requests(http, pid) for pid in pids}
            while len(found) < len(counts):
                connection = await stack.enter_async_context(self.connection())
                await connection.ask(asking(sample(1)))
                now = {pid: await self.requests(http, pid) for pid in pids}
                (pid,) = [pid for pid, count in now.items() if count > counts[pid]]
                found.setdefault(pid, connection)
                counts = now
            yield found

    async def requests(self, http: aiohttp.ClientSession, pid: int) -> float:
        """How many requests a worker that was there at the start has ended."""
        (address,) = [worker["metrics"] for worker in self.program.said["workers"] if worker["pid"] == pid]
        return await metric(http, address, "broker_requests_total")

    def stop(self) -> None:
        assert self.program.stop() == 0, self.program.log


class BrokenOffError(Exception):
    """A stream ended before its summary."""


@dataclass(frozen=True)
class Connection:
    """To one worker."""

    channel: grpc.aio.Channel

    async def ask(self, request: pb.InvestigateRequest) -> Reports:
        """The whole stream. Raises `BrokenOffError` if it breaks off once it has begun."""
        said = Reports()
        stub: Any = InvestigationServiceStub(self.channel)  # type: ignore[no-untyped-call]
        try:
            async for response in stub.Investigate(request, timeout=PATIENCE):
                said.reports += response.reports
                said.summary = response.summary
        except grpc.aio.AioRpcError as error:
            if said.reports:
                raise BrokenOffError from error
            raise
        check_shape(request, said)
        assert said.summary.complete
        return said

    async def knows(self, lookups: Sequence[Lookup]) -> bool:
        """Whether the worker has all of it in the store; true or not, it must say what is."""
        said = await self.ask(asking(lookups))
        assert check_truth(lookups, said) == said.summary.inquiries
        return said.sources() == {"CACHE": said.summary.inquiries}


async def metric(http: aiohttp.ClientSession, address: str, name: str) -> float:
    async with http.get(f"http://{address}/metrics") as response:
        text = await response.text()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def others_go_on() -> None:
    """Between two looks at what other processes do."""
    await asyncio.to_thread(os.sched_yield)


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended by now
            found.update(map(int, task.read_text().split()))
    return found


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


@pytest.fixture
def pool(mocks: Mocks, tmp_path: Path) -> Iterator[WorkerPool]:
    started = WorkerPool(tmp_path, mocks)
    yield started
    if started.program.process.returncode is None:
        started.stop()


KNOWN = sample(300, rng_seed=3, mix="all")


def test_workers_share_what_they_know_and_go_on_while_they_are_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    run(partial(share, pool), seconds=PATIENCE)
    for pid in pool.pids():
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    refuse_a_second_broker(pool)
    run(partial(refuse_to_reload, pool), seconds=PATIENCE)
    address, request = pool.program.said["grpc"], asking(sample(50, rng_seed=11))
    with blocking_clients(address, request), node_clients(tmp_path / "node", address, request):
        run(partial(reload_under_load, pool), seconds=PATIENCE)
    pool.stop()
    refuse_another_key(pool)
    pool.start()
    run(partial(remember, pool), seconds=PATIENCE)


async def share(pool: WorkerPool) -> None:
    """What one has asked the other knows too: at first from its peer's memory, after a commit from the store."""
    async with pool.connections() as connections:
        one, other = connections.values()
        first = await one.ask(asking(KNOWN))
        assert check_truth(KNOWN, first) == first.summary.inquiries
        asked = pool.asked()
        while not await other.knows(KNOWN):
            pass
        assert pool.asked() == asked


def refuse_a_second_broker(pool: WorkerPool) -> None:
    """One store is for one broker, wherever the second one listens."""
    elsewhere = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
    command = [sys.executable, "-m", "broker", "serve", "--config", str(pool.file), *elsewhere]
    second = subprocess.run(command, check=False, capture_output=True, text=True, cwd=pool.file.parent)  # noqa: S603
    assert second.returncode == 2
    assert f"another broker uses it, process {pool.program.process.pid}; " in second.stderr


def refuse_another_key(pool: WorkerPool) -> None:
    """Neither a wrong key nor a missing one takes the place of the one that the cache was written under."""
    key = pool.file.with_name("broker.key")
    right = key.read_text(encoding="ascii")
    command = [sys.executable, "-m", "broker", "serve", "--config", str(pool.file)]
    for wrong in ("00" * 32, None):
        key.unlink()
        if wrong is not None:
            key.touch(0o600)
            key.write_text(wrong, encoding="ascii")
        refused = subprocess.run(command, check=False, capture_output=True, text=True, cwd=pool.file.parent)  # noqa: S603
        assert refused.returncode == 2
        assert "was written under a key that is not there; restore it" in refused.stderr
        assert key.exists() == (wrong is not None)
    key.touch(0o600)
    key.write_text(right, encoding="ascii")


async def refuse_to_reload(pool: WorkerPool) -> None:
    """Nothing that is not valid ends what is running: nonsense, more calls than an institution takes, a bad policy."""
    valid, before = pool.file.read_text(encoding="utf-8"), pool.pids()
    one_at_a_time = re.sub("^concurrency = .*", "concurrency = 1", valid, flags=re.MULTILINE)
    other_store = valid.replace('/cache"', '/another-cache"')
    bad_policy = re.sub('^policy = ""', f'policy = "{pool.file}"', valid, flags=re.MULTILINE)
    for times, wrong in enumerate((valid + "nonsense", one_at_a_time, other_store, bad_policy), start=1):
        pool.file.write_text(wrong, encoding="utf-8")
        pool.tell(signal.SIGHUP)
        while pool.program.log.count("not reloaded") < times:
            await others_go_on()
    assert pool.pids() == before
    assert "store.path: " in pool.program.log
    assert f"access.policy: {pool.file}: rule: at least one [[rule]] block is needed" in pool.program.log
    pool.file.write_text(valid, encoding="utf-8")


async def reload_under_load(pool: WorkerPool) -> None:
    """No call fails: neither a stream, nor a short call, nor one of the Python client's, of which none is repeated."""
    before, replaced = pool.pids(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        courts = [
            *[group.create_task(keep_asking(pool, seed, until=replaced)) for seed in range(1, 5)],
            *[group.create_task(keep_listing(pool, until=replaced)) for _ in range(2)],
            group.create_task(keep_investigating(pool, until=replaced)),
        ]
        pool.tell(signal.SIGHUP)
        while len(pool.pids()) < 2 or pool.pids() & before:
            await others_go_on()
        replaced.set()
    assert all([await court for court in courts])


async def keep_asking(pool: WorkerPool, seed: int, *, until: asyncio.Event) -> int:
    """How many batches were answered."""
    answered = 0
    async with pool.connection() as connection:
        while not (answered and until.is_set()):
            batch = sample(50, rng_seed=1_000 * seed + answered)
            assert check_truth(batch, await connection.ask(asking(batch))) == 200
            answered += 1
    return answered


async def keep_listing(pool: WorkerPool, *, until: asyncio.Event) -> int:
    """How many calls were answered."""
    answered = 0
    async with pool.connection() as connection:
        stub: Any = InvestigationServiceStub(connection.channel)  # type: ignore[no-untyped-call]
        while not (answered and until.is_set()):
            await stub.ListInstitutions(pb.ListInstitutionsRequest())
            answered += 1
    return answered


async def keep_investigating(pool: WorkerPool, *, until: asyncio.Event) -> int:
    """How many investigations of several batches were answered."""
    lookups, terms, answered = list(map(as_message, sample(40, rng_seed=9))), Terms(batch_size=10, retry=False), 0
    async with Client(pool.program.said["grpc"], channels=3) as client:
        while not (answered and until.is_set()):
            async with client.investigate(mandate(), lookups, terms) as investigation:
                assert len([report async for report in investigation]) == len(lookups)
            answered += 1
    return answered


async def remember(pool: WorkerPool) -> None:
    """After a restart, all is served from the store."""
    asked = pool.asked()
    async with pool.connections() as connections:
        for connection in connections.values():
            assert await connection.knows(KNOWN)
    assert pool.asked() - asked <= 4, "the one lookup that tells the connections apart"


# --- workers that hang ------------------------------------------------------------------------------------------------


def test_a_worker_that_is_stopped_is_killed_and_replaced(pool: WorkerPool) -> None:
    run(partial(stop_one, pool), seconds=PATIENCE)
    for pid in pool.pids():
        os.kill(pid, signal.SIGSTOP)
    pool.stop()


async def stop_one(pool: WorkerPool) -> None:
    """Its connections break, and whoever asks again is served by the other or by its successor."""
    before, lookups = pool.pids(), sample(300, rng_seed=6, mix="all")
    async with pool.connections() as connections:
        (pid, victim), (_, survivor) = connections.items()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises((grpc.aio.AioRpcError, BrokenOffError)):
            await victim.ask(asking(lookups))
        while len(pool.pids()) < 2 or pid in pool.pids():
            await others_go_on()
        assert len(pool.pids() & before) == 1
        said = await survivor.ask(asking(lookups))
        assert check_truth(lookups, said) == said.summary.inquiries
    assert f"worker {pool.slot(pid)} (process {pid}) has shown no sign of life for 5 s" in pool.program.log


@contextmanager
def hanging_in_starting(folder: Path, mocks: Mocks) -> Iterator[subprocess.Popen[bytes]]:
    """A broker whose workers wait for the lock of their store, while they start."""
    (folder / "broker.toml").write_text(configuration(folder, mocks.urls), encoding="utf-8")
    (folder / "cache").mkdir(mode=0o700)
    command = [sys.executable, "-m", "broker", "serve", "--config", "broker.toml", "--workers", "2"]
    with (folder / "log").open("wb") as log, closing_descriptor(os.open(folder / "cache", os.O_RDONLY)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, cwd=folder, stderr=log) as process:  # noqa: S603
            try:
                while not any(has_open(pid, folder / "cache") for pid in children(process.pid)):
                    assert process.poll() is None, (folder / "log").read_text()
                    os.sched_yield()
                yield process
            finally:
                process.kill()


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has this file open."""
    try:
        return any(descriptor.resolve() == path for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:  # the process, or one of its descriptors, is gone
        return False


@contextmanager
def closing_descriptor(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@needs_root
def test_workers_that_hang_in_starting_end_with_their_supervisor(mocks: Mocks, tmp_path: Path) -> None:
    with hanging_in_starting(tmp_path, mocks) as process:
        pids = children(process.pid)
        assert pids
        process.kill()
        while not all(map(is_gone, pids)):
            os.sched_yield()


@needs_root
def test_workers_that_hang_in_starting_can_be_stopped(mocks: Mocks, tmp_path: Path) -> None:
    with hanging_in_starting(tmp_path, mocks) as process:
        pids = children(process.pid)
        process.terminate()
        assert process.wait() == 0
        assert all(map(is_gone, pids))
    assert "it is killed" not in (tmp_path / "log").read_text()


# --- workers that die -------------------------------------------------------------------------------------------------


def test_a_worker_may_be_killed_and_so_may_their_supervisor(pool: WorkerPool) -> None:
    run(partial(kill_one, pool), seconds=PATIENCE)
    run(partial(kill_their_supervisor, pool), seconds=PATIENCE)
    pool.stop()


async def kill_one(pool: WorkerPool) -> None:
    """What it had taken over is done by the other; who was connected to it has to ask again."""
    lookups, before = sample(3_000, rng_seed=4, mix="all"), pool.pids()
    async with pool.connections() as connections:
        (pid, victim), (other, survivor) = connections.items()
        with ExitStack() as slow:
            for institution in NATIONAL:
                slow.enter_context(pool.mocks.faults(institution, latency=SLOW))
            asked = pool.asked()
            asking_the_other = asyncio.create_task(survivor.ask(asking(lookups)))
            asking_the_one = asyncio.create_task(victim.ask(asking(lookups)))
            while pool.asked() - asked < 3_000:
                await others_go_on()
            os.kill(pid, signal.SIGKILL)
            said = await asking_the_other
            assert check_truth(lookups, said) == said.summary.inquiries
            with pytest.raises((grpc.aio.AioRpcError, BrokenOffError)):
                await asking_the_one
        await spread_again(pool, other)
        while len(pool.pids()) < 2 or pid in pool.pids():
            await others_go_on()
        assert len(pool.pids() & before) == 1
        more = sample(50, rng_seed=5)
        assert check_truth(more, await survivor.ask(asking(more))) == 200
        async with pool.connection() as anew:
            assert check_truth(lookups, await anew.ask(asking(lookups))) == said.summary.inquiries


async def spread_again(pool: WorkerPool, survivor: int) -> None:
    """While only one worker listens, callers connect. They find the next one, without a failed call."""
    lookups = sample(1)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        connections = [await stack.enter_async_context(pool.connection()) for _ in range(8)]
        counted, answered = await pool.requests(http, survivor), 0
        while await pool.requests(http, survivor) - counted == answered:
            for connection in connections:
                assert check_truth(lookups, await connection.ask(asking(lookups))) == 4
            answered += len(connections)


async def kill_their_supervisor(pool: WorkerPool) -> None:
    """Its workers finish what is in flight, while another broker starts at the same port."""
    pids, lookups = pool.pids(), sample(100, rng_seed=7)
    killed = pool.program
    async with pool.connection() as connection:
        with ExitStack() as slow:
            for institution in NATIONAL:
                slow.enter_context(pool.mocks.faults(institution, latency=SLOW))
            asked = pool.asked()
            in_flight = asyncio.create_task(connection.ask(asking(lookups)))
            while pool.asked() - asked < 400:
                await others_go_on()
            killed.process.kill()
            killed.process.wait()
            await asyncio.to_thread(pool.start)
            assert check_truth(lookups, await in_flight) == 400
    killed.stop()
    while not all(map(is_gone, pids)):
        await others_go_on()


def test_a_file_that_ends_every_worker_that_reads_it_is_set_aside(pool: WorkerPool, tmp_path: Path) -> None:
    run(partial(learn, pool), seconds=PATIENCE)
    pool.stop()
    enlarge_blocks(tmp_path / "cache")
    pool.start()
    run(partial(ask_until_answered, pool), seconds=PATIENCE)
    pool.stop()
    crashes = [re.findall(rf"worker {slot} was ended by SIG(?!KILL|TERM)", pool.program.log) for slot in (0, 1)]
    assert any(crashes), pool.program.log
    assert max(map(len, crashes)) <= 2, pool.program.log
    assert set_aside(tmp_path / "cache")


async def learn(pool: WorkerPool) -> None:
    async with pool.connection() as connection:
        while not await connection.knows(KNOWN):
            pass


async def ask_until_answered(pool: WorkerPool) -> None:
    """Until the same two workers have answered often enough that each was asked."""
    pids: set[int] = set()
    answered = 0
    while answered < 20:
        async with pool.connection() as connection:
            try:
                said = await connection.ask(asking(KNOWN))
                assert check_truth(KNOWN, said) == said.summary.inquiries
                answered += 1
            except (grpc.aio.AioRpcError, BrokenOffError):
                answered = 0
        if len(pool.pids()) < 2 or pool.pids() != pids:
            pids, answered = pool.pids(), 0
