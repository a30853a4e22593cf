"""The border between the two loops, and the only module that knows both.

grpc.aio and aiohttp live on asyncio; the broker's own concurrency lives on trio, which runs as a guest of the asyncio
loop, in the same thread. Because it is one thread, either side may read the other's plain data, and set an asyncio
future. What it may not do is wake the tasks of trio, except through here:

* `Bridge.call_soon`   asyncio → trio: call a function among the trio tasks
* `Bridge.start`       asyncio → trio: start a task, and hear when it has ended
* `Bridge.run`         asyncio → trio: await a task's result
* `in_asyncio`         trio → asyncio: await a coroutine; cancelling the one cancels the other

A crossing costs about 0.15 ms of CPU, so each is made once per batch, never per inquiry, and a request answered from
the cache makes none.

No error of one request ends the trio side: what a function or a task raises is handed to whoever asked for it, and
what nobody foresaw is counted, and logged by its origin. Only what is meant for the whole process ends trio
(`KeyboardInterrupt`, `SystemExit`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import outcome
import trio

from broker.errors import BrokerError, origin

log = logging.getLogger(__name__)

T = TypeVar("T")

Failed = Callable[[Exception], None]
"""Is told, on the trio side, what a function raised. Must not raise; if it does, that is counted and logged as well."""
EndCallback = Callable[[Exception | None], None]
"""Is told that a task has ended; by what, unless it finished. Must not raise, as `Failed` must not."""


class BridgeEndedError(Exception):
    """The trio side ended before the task did."""

    def __init__(self) -> None:
        super().__init__("the trio side ended before the task did")


class StrayCancellationError(Exception):
    """Something on the trio side raised asyncio's `CancelledError`, which is nobody's there."""

    def __init__(self) -> None:
        super().__init__("asyncio cancelled something that trio waits for")


@dataclass(frozen=True, slots=True)
class BridgeStatistics:
    """A `Bridge` at one moment."""

    internal_errors: Mapping[str, int]
    """What was raised on the trio side that nobody foresaw, by origin."""


class TaskHandle:
    """A trio task started from asyncio."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        """Cancels the task. Called from asyncio, any number of times, also after the task has ended."""


class Bridge:
    """The way from asyncio to trio. `open_bridge` makes one."""

    def __init__(self, token: trio.lowlevel.TrioToken, nursery: trio.Nursery) -> None:
        self._token = token
        self._nursery = nursery
        self._internal_errors: Counter[str] = Counter()

    def statistics(self) -> BridgeStatistics:
        """The bridge at this moment."""
        return BridgeStatistics(dict(self._internal_errors))

    def call_soon(self, function: Callable[[], object], failed: Failed) -> None:
        """Calls a function on the trio side, in order with other calls and starts. Called from asyncio.

        If it raises, `failed` is called with the error. Does nothing once the trio side has ended: then everything
        there is cancelled already.
        """
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._call, function, failed)

    def start(self, task: Callable[[], Awaitable[None]], ended: EndCallback) -> TaskHandle:
        """Starts a task on the trio side, and calls `ended` when it has ended.

        `ended` gets None if the task finished or was cancelled through its `TaskHandle`, else its error, which is a
        `BridgeEndedError` if the whole trio side ended around it.
        """
        scope = trio.CancelScope()

        async def run() -> None:
            error: Exception | None = BridgeEndedError()
            try:
                with scope:
                    await task()
                error = None
            except BaseException as caught:
                if _ends_everything(caught):
                    raise
                error = self._record(caught)
            finally:
                self._tell(ended, error)

        def begin() -> None:
            try:
                self._nursery.start_soon(run)
            except RuntimeError as closed:  # the bridge is closing
                self._tell(ended, closed)

        try:
            self._token.run_sync_soon(begin)
        except trio.RunFinishedError as finished:
            self._tell(ended, finished)
        return TaskHandle(lambda: self.call_soon(scope.cancel, _ignore))

    async def run(self, task: Callable[[], Awaitable[T]]) -> T:
        """Runs an asynchronous function on the trio side and returns its result. Awaited in asyncio."""
        result: list[T] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def keep_result() -> None:
            result.append(await task())

        def ended(error: Exception | None) -> None:
            if done.done():  # cancelled: nobody waits any more
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        handle = self.start(keep_result, ended)
        try:
            await done
        except asyncio.CancelledError:
            handle.cancel()
            raise
        return result[0]

    def _call(self, function: Callable[[], object], failed: Failed) -> None:
        try:
            function()
        except BaseException as caught:
            if _ends_everything(caught):
                raise
            self._tell(failed, self._record(caught))

    def _tell(self, told: Failed | EndCallback, error: Any) -> None:
        try:
            told(error)
        except BaseException as caught:
            if _ends_everything(caught):
                raise
            self._record(caught)

    def _record(self, caught: BaseException) -> Exception:
        """Counts and logs an error, unless it was raised on purpose. Returns one that can be raised in asyncio."""
        if isinstance(caught, BrokerError):
            return caught
        where = origin(caught)
        self._internal_errors[where] += 1
        log.error("internal error on the trio side: %s", where)
        return caught if isinstance(caught, Exception) else StrayCancellationError()


def _ends_everything(error: BaseException) -> bool:
    """Whether an error is meant for more than the request in which it was raised: cancellation of trio's included."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_ends_everything, error.exceptions))
    return not isinstance(error, Exception | asyncio.CancelledError)


def _ignore(_: Exception) -> None:
    """For what can be left at being counted and logged."""


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
        bridge.call_soon(nursery.cancel_scope.cancel, _ignore)
        await done


def _raise_stray() -> None:
    raise StrayCancellationError


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
            settle = raise_cancelled or _raise_stray
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
