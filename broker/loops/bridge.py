"""The border of the two loops, and the only module that knows both.

grpc.aio and aiohttp live on asyncio; the broker's own concurrency lives on trio, which runs as a guest of the asyncio
loop, in the same thread. Because it is one thread, either side may read the other's plain data; what it may not do is
wake the other's tasks, except through here:

* `Bridge.call_soon`   asyncio → trio: run a function among the trio tasks
* `Bridge.start`       asyncio → trio: start a task, and hear when it ended
* `BridgeQueue`             trio → asyncio: items put on one side and taken on the other, all there are at a time
* `in_asyncio`         trio awaits an asyncio coroutine; cancelling the one cancels the other

A crossing costs about 0.15 ms of CPU, so each is made once per batch, never per item, and a request answered from the
cache makes none.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import outcome
import trio

T = TypeVar("T")


class BridgeQueue(Generic[T]):
    """Items on their way to one asyncio task. Holds what was put and not yet taken: its user bounds it.

    Several may put: it has ended when all who are expected to have said so.
    """

    def __init__(self, weigh: Callable[[list[T]], int] = len) -> None:
        """`weigh`: how much some items are, for those who wait until there is enough."""
        self._weigh = weigh
        self._items: list[T] = []
        self._weight = 0
        self._expected = 1
        self._error: BaseException | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._enough = 0

    @property
    def ended(self) -> bool:
        """Whether everything was taken and nothing will come, not even an error."""
        return not self._items and not self._expected and self._error is None

    def expect(self) -> None:
        """One more will put items, beside the one there is from the beginning."""
        self._expected += 1

    def put(self, items: list[T]) -> None:
        """Adds items. Called from either side, as are `end` and `fail`."""
        self._items.extend(items)
        self._weight += self._weigh(items)
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """One of those expected is done; with an error, see `fail`."""
        self._expected -= 1
        self._error = self._error or error
        self._wake()

    def fail(self, error: BaseException) -> None:
        """`take` will raise the error once all items are taken, whoever else may still put."""
        self._error = self._error or error
        self._wake()

    async def take(self, enough: int = 0, patience: float = 0.0) -> list[T]:
        """All items put by now, at least one; none once the queue has ended. Awaited in asyncio.

        Of less than `enough`, more is waited for, for `patience` seconds.
        """
        await self._wait(enough=0)
        if patience and not self._has(enough):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wait(enough)
        if not self._items and self._error is not None:
            raise self._error
        items, self._items, self._weight = self._items, [], 0
        return items

    async def _wait(self, enough: int) -> None:
        while not self._has(enough):
            self._enough = enough
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    def _has(self, enough: int) -> bool:
        """Whether there is something, and enough of it, or nothing more to wait for."""
        return bool(self._items and self._weight >= enough) or not self._expected or self._error is not None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done() and self._has(self._enough):
            self._waiting.set_result(None)


class BridgeEndedError(Exception):
    """The trio side ended before the task did."""

    def __init__(self) -> None:
        super().__init__("the trio side ended before the task did")


class TaskHandle:
    """A trio task started from asyncio."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        """Cancels the task. Called from asyncio."""


class Bridge:
    """The way from asyncio to trio. `open_bridge` makes one."""

    def __init__(self, token: trio.lowlevel.TrioToken, nursery: trio.Nursery) -> None:
        self._token = token
        self._nursery = nursery

    def call_soon(self, function: Callable[[], object]) -> None:
        """Runs a function on the trio side, in order with others. It must not raise. Called from asyncio."""
        with suppress(trio.RunFinishedError):  # then everything there is cancelled already
            self._token.run_sync_soon(function)

    def start(self, task: Callable[[], Awaitable[None]], ended: Callable[[BaseException | None], None]) -> TaskHandle:
        """Starts a task on the trio side.

        `ended` is called there when it ends: with None if it finished or was cancelled through its `TaskHandle`, else
        with its error, which is a `BridgeEndedError` if the whole trio side ended around it.
        """
        scope = trio.CancelScope()

        async def run() -> None:
            error: BaseException | None = BridgeEndedError()
            try:
                with scope:
                    await task()
                error = None
            except Exception as caught:  # noqa: BLE001 - handed to the asyncio task that waits for it
                error = caught
            finally:
                ended(error)

        def begin() -> None:
            try:
                self._nursery.start_soon(run)
            except RuntimeError as closed:  # the bridge is closing
                ended(closed)

        try:
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError as finished:
            ended(finished)
        return TaskHandle(lambda: self.call_soon(scope.cancel))

    async def run(self, task: Callable[[], Awaitable[T]]) -> T:
        """Runs an asynchronous function on the trio side and returns its result. Awaited in asyncio."""
        result: list[T] = []
        done: BridgeQueue[None] = BridgeQueue()

        async def keep_result() -> None:
            result.append(await task())

        handle = self.start(keep_result, done.end)
        try:
            await done.take()
        except asyncio.CancelledError:
            handle.cancel()
            raise
        return result[0]


@asynccontextmanager
async def open_bridge() -> AsyncIterator[Bridge]:
    """A trio run as the guest of the running asyncio loop, for as long as the context lasts.

    Leaving it raises what ended the trio run, if that was not the leaving.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[tuple[trio.lowlevel.TrioToken, trio.Nursery]] = loop.create_future()
    done: asyncio.Future[None] = loop.create_future()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            ready.set_result((trio.lowlevel.current_trio_token(), nursery))
            await trio.sleep_forever()

    def on_done(run: outcome.Outcome[None]) -> None:
        match run:
            case outcome.Error(error):
                done.set_exception(error)
            case _:
                done.set_result(None)

    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=on_done,
        host_uses_signal_set_wakeup_fd=True,
        restrict_keyboard_interrupt_to_checkpoints=True,
    )
    token, nursery = await ready
    bridge = Bridge(token, nursery)
    try:
        yield bridge
    finally:
        bridge.call_soon(nursery.cancel_scope.cancel)
        await done


def _cancelled_by_others() -> None:
    # asyncio's CancelledError would end the whole trio run: there, it is nobody's.
    msg = "the asyncio side cancelled what trio waits for"
    raise RuntimeError(msg)


async def in_asyncio(coroutine: Coroutine[Any, Any, T]) -> T:
    """Awaits an asyncio coroutine from a trio task of a `Bridge`.

    Cancelling the trio task cancels the coroutine, and waits until its cleanup is done.
    """
    trio_task = trio.lowlevel.current_task()
    asyncio_task = asyncio.get_running_loop().create_task(coroutine)
    raise_cancelled: Callable[[], Any] | None = None

    def on_done(task: "asyncio.Task[T]") -> None:
        settle: Callable[[], Any] = task.result
        if task.cancelled():
            settle = raise_cancelled or _cancelled_by_others
        result: outcome.Outcome[Any] = outcome.capture(settle)
        trio.lowlevel.reschedule(trio_task, result)

    def abort(raiser: Callable[[], Any]) -> trio.lowlevel.Abort:
        nonlocal raise_cancelled
        raise_cancelled = raiser
        asyncio_task.cancel()
        return trio.lowlevel.Abort.FAILED  # `on_done` reschedules, once the coroutine has cleaned up

    asyncio_task.add_done_callback(on_done)
    result: T = await trio.lowlevel.wait_task_rescheduled(abort)
    return result
