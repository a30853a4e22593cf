"""Workers that are no processes, for tests in virtual time: each lives as its test prescribes."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf

import trio
import trio.testing

from broker.runtime.restart_policy import NextStart
from broker.runtime.supervised_slot import WorkerFailedError
from broker.runtime.watchdog import ALIVE_INTERVAL, Limits
from broker.runtime.worker_messages import Alive, Message, Progress, Ready, encode
from broker.runtime.worker_pool import WorkerPool

SIGKILL = -9


class FakeWorker:
    """A `WorkerProcess`. State: what it has said, whether it was told to stop, and its exit code once it has ended."""

    def __init__(self, slot: int, pid: int, note: Callable[[str], None]) -> None:
        """`note`: writes what happens into a journal."""
        self.slot = slot
        self.pid = pid
        self.told_to_stop = trio.Event()
        self.ended = trio.Event()
        self.code = 0
        self._note = note
        self._said, self._lines = trio.open_memory_channel[bytes](inf)

    def say(self, message: Message) -> None:
        self._said.send_nowait(encode(message).rstrip(b"\n"))

    def say_ready(self) -> None:
        self.say(Ready(self.pid, f"grpc-{self.slot}", f"metrics-{self.slot}"))

    async def beat(self, seconds: float = inf, interval: float = ALIVE_INTERVAL) -> None:
        """Shows life for so long, or until it is told to stop."""
        with trio.move_on_after(seconds):
            while not self.told_to_stop.is_set():
                with trio.move_on_after(interval):
                    await self.told_to_stop.wait()
                self.say(Alive())

    def end(self, code: int) -> None:
        if not self.ended.is_set():
            self.code = code
            self.ended.set()
            self._note(f"ends {self.slot}: {code}")

    async def lines(self) -> AsyncIterator[bytes]:
        async for line in self._lines:
            yield line

    def terminate(self) -> None:
        self._note(f"told {self.slot}")
        self.told_to_stop.set()

    def kill(self) -> None:
        self.end(SIGKILL)

    def tell(self, message: bytes) -> None:
        self._note(f"told {self.slot}: {message.decode()}")

    async def wait(self) -> int:
        await self.ended.wait()
        return self.code

    async def aclose(self) -> None:
        self.kill()


Life = Callable[[FakeWorker], Awaitable[None]]


async def steady(worker: FakeWorker) -> None:
    """Starts, serves, and stops when told."""
    await trio.sleep(1.0)
    worker.say_ready()
    await worker.beat()
    worker.say(Progress("closing the store", 15.0))
    await trio.sleep(0.25)
    worker.end(0)


async def mute(_: FakeWorker) -> None:
    """Hangs from the beginning."""
    await trio.sleep_forever()


def failing(code: int, after: float = 0.5) -> Life:
    """Ends before it is ready."""

    async def life(worker: FakeWorker) -> None:
        await trio.sleep(after)
        worker.end(code)

    return life


def hanging(after: float) -> Life:
    """Serves for so long, and hangs."""

    async def life(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat(after)
        await trio.sleep_forever()

    return life


def crashing(after: float, code: int = -7) -> Life:
    """Serves for so long, and ends by itself."""

    async def life(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat(after)
        worker.end(code)

    return life


class FakeHost:
    """Where a pool's workers run. State: who lives in which way, and a journal of who began and ended when."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.lives: dict[int, list[Life]] = defaultdict(list)
        """By slot: of the workers to come; `steady` once there are no more."""
        self.journal: list[tuple[float, str]] = []
        """When what happened, such as "begins 0", "told 0", "ends 0: -9"."""
        self._nursery = nursery
        self._begun: Counter[int] = Counter()

    async def launch(self, slot: int, start: NextStart) -> FakeWorker:
        """Starts a worker."""
        self._begun[slot] += 1
        worker = FakeWorker(slot, pid=1_000 * self._begun[slot] + slot, note=self._note)
        life = self.lives[slot].pop(0) if self.lives[slot] else steady
        self._note(f"begins {slot}{' after a crash' if start.after_crash else ''}")
        self._nursery.start_soon(self._run, worker, life)
        return worker

    def events(self) -> list[str]:
        """What happened, in order."""
        return [event for _, event in self.journal]

    def when(self, event: str) -> list[float]:
        """The moments at which this happened."""
        return [moment for moment, each in self.journal if each == event]

    def _note(self, event: str) -> None:
        self.journal.append((trio.current_time(), event))

    async def _run(self, worker: FakeWorker, life: Life) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life, worker)
            await worker.ended.wait()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def fake_host() -> AsyncIterator[FakeHost]:
    """A host, at whose end no worker may run any more."""
    async with trio.open_nursery() as nursery:
        host = FakeHost(nursery)
        yield host
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks, "a worker outlives its pool"


@asynccontextmanager
async def running_pool(host: FakeHost, *, size: int = 2, draining: float = 30.0) -> AsyncIterator[WorkerPool]:
    """A pool of workers of this host; when left, it is told to stop and must do so."""
    pool = WorkerPool(size, launch=host.launch, limits=Limits(draining=draining))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        yield pool
        pool.stop()


def failures(error: BaseException) -> list[WorkerFailedError]:
    """The `WorkerFailedError`s in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [found for each in error.exceptions for found in failures(each)]
    assert isinstance(error, WorkerFailedError)
    return [error]
