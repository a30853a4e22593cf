"""The border of the two loops: what is run, raised, cancelled and ended on one side, as the other one sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio

from broker.errors import BrokerError
from broker.loops.bridge import Bridge, BridgeEndedError, StrayCancellationError, in_asyncio, open_bridge

T = TypeVar("T")


class OddError(Exception):
    """Raised on one side, expected on the other."""


def bridged(main: Callable[[Bridge], Awaitable[T]]) -> T:
    """Runs something in asyncio with a bridge to trio."""

    async def run() -> T:
        async with asyncio.timeout(10), open_bridge() as bridge:
            return await main(bridge)

    return asyncio.run(run())


# --- run and start ----------------------------------------------------------------------------------------------------


def test_a_function_runs_in_trio_and_its_result_comes_back() -> None:
    async def task() -> str:
        await trio.lowlevel.checkpoint()
        return f"as {trio.lowlevel.current_root_task() is not None}"

    assert bridged(lambda bridge: bridge.run(task)) == "as True"


def test_both_sides_share_one_thread() -> None:
    import threading  # noqa: PLC0415 - the one place that asks

    async def task() -> int:
        return threading.get_ident()

    assert bridged(lambda bridge: bridge.run(task)) == threading.get_ident()


def test_an_error_in_trio_is_raised_in_asyncio_and_harms_nobody_else() -> None:
    async def fail() -> None:
        raise OddError("odd")

    async def succeed() -> int:
        return 7

    async def main(bridge: Bridge) -> int:
        with pytest.raises(OddError, match="odd"):
            await bridge.run(fail)
        return await bridge.run(succeed)

    assert bridged(main) == 7


def test_many_tasks_run_at_a_time() -> None:
    async def main(bridge: Bridge) -> list[int]:
        barrier = await bridge.run(make_event)
        here = 0

        async def task(number: int) -> int:
            nonlocal here
            here += 1
            if here == 50:
                barrier.set()
            await barrier.wait()
            return number

        return await asyncio.gather(*[bridge.run(lambda n=number: task(n)) for number in range(50)])  # type: ignore[misc]

    assert bridged(main) == list(range(50))


async def make_event() -> trio.Event:
    return trio.Event()


def test_cancelling_in_asyncio_cancels_in_trio_which_cleans_up() -> None:
    async def main(bridge: Bridge) -> list[str]:
        said: list[str] = []
        started = asyncio.Event()
        cleaned = asyncio.Event()

        async def task() -> None:
            try:
                started.set()
                await trio.sleep_forever()
            except trio.Cancelled:
                said.append("cancelled")
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                said.append("cleaned up")
                cleaned.set()
                raise

        waiting = asyncio.create_task(bridge.run(task))
        await started.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cleaned.wait()
        return said

    assert bridged(main) == ["cancelled", "cleaned up"]


def test_a_task_cancelled_before_it_began_still_ends() -> None:
    async def main(bridge: Bridge) -> list[object]:
        ends: list[object] = []
        ended = asyncio.Event()

        def on_end(error: BaseException | None) -> None:
            ends.append(error)
            ended.set()

        bridge.start(trio.sleep_forever, on_end).cancel()
        await ended.wait()
        return ends

    assert bridged(main) == [None]


def test_a_task_may_be_cancelled_after_it_ended_and_twice() -> None:
    async def main(bridge: Bridge) -> int:
        ends: list[object] = []
        ended = asyncio.Event()

        def on_end(error: BaseException | None) -> None:
            ends.append(error)
            ended.set()

        handle = bridge.start(trio.lowlevel.checkpoint, on_end)
        await ended.wait()
        handle.cancel()
        handle.cancel()
        await bridge.run(trio.lowlevel.checkpoint)
        return len(ends)

    assert bridged(main) == 1


def test_calls_are_made_in_order_among_each_other_and_with_starts() -> None:
    async def main(bridge: Bridge) -> list[int]:
        order: list[int] = []
        done = asyncio.Event()

        async def task() -> None:
            order.append(-1)
            done.set()

        for number in range(100):
            bridge.call_soon(lambda n=number: order.append(n), lambda _: order.append(-2))  # type: ignore[misc]
        bridge.start(task, lambda _: None)
        await done.wait()
        return order

    assert bridged(main) == [*range(100), -1]


# --- in_asyncio -------------------------------------------------------------------------------------------------------


def test_trio_awaits_what_runs_in_asyncio() -> None:
    async def coroutine() -> str:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return "done"

    assert bridged(lambda bridge: bridge.run(lambda: in_asyncio(coroutine()))) == "done"


def test_an_error_in_asyncio_is_raised_in_trio() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise OddError("odd")

    async def task() -> str:
        with pytest.raises(OddError, match="odd"):
            await in_asyncio(fail())
        return "caught in trio"

    assert bridged(lambda bridge: bridge.run(task)) == "caught in trio"


def test_cancelling_in_trio_waits_until_asyncio_has_cleaned_up() -> None:
    async def main(bridge: Bridge) -> list[str]:
        said: list[str] = []

        async def coroutine() -> None:
            try:
                said.append("began")
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                said.append("cleaned up")

        async def task() -> None:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(in_asyncio, coroutine())
                    while not said:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            said.append("cancelled")

        await bridge.run(task)
        return said

    assert bridged(main) == ["began", "cleaned up", "cancelled"]


def test_an_error_while_cleaning_up_is_not_lost() -> None:
    async def main(bridge: Bridge) -> str:
        began = await bridge.run(make_event)

        async def coroutine() -> None:
            try:
                began.set()
                await asyncio.get_running_loop().create_future()
            finally:
                raise OddError("while cleaning up")

        async def task() -> None:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(in_asyncio, coroutine())
                    await began.wait()
                    scope.cancel()

        with pytest.raises(ExceptionGroup) as group:
            await bridge.run(task)
        return str(group.value.exceptions[0])

    assert bridged(main) == "while cleaning up"


def test_a_result_that_came_before_the_cancellation_is_not_lost() -> None:
    async def main(bridge: Bridge) -> str | None:
        kept: list[str] = []

        async def stubborn() -> str:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                return "finished all the same"
            return "never"

        async def task() -> None:
            with trio.move_on_after(0):
                kept.append(await in_asyncio(stubborn()))

        await bridge.run(task)
        return kept[0] if kept else None

    # Cancelled before its first step, a coroutine never begins; either way trio hears of it.
    assert bridged(main) in ("finished all the same", None)


def test_a_timeout_in_trio_ends_a_call_in_asyncio() -> None:
    async def main(bridge: Bridge) -> bool:
        ended = asyncio.Event()

        async def hang() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        async def task() -> None:
            with trio.fail_after(0.01):
                await in_asyncio(hang())

        with pytest.raises(trio.TooSlowError):
            await bridge.run(task)
        return ended.is_set()

    assert bridged(main)


def test_cancellation_goes_all_the_way_and_back() -> None:
    """As a caller's does: from asyncio to the trio task that waits for another coroutine in asyncio."""

    async def main(bridge: Bridge) -> list[str]:
        said: list[str] = []
        began, cleaned = asyncio.Event(), asyncio.Event()

        async def innermost() -> None:
            began.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                said.append("innermost")

        async def task() -> None:
            try:
                await in_asyncio(innermost())
            finally:
                said.append("trio")
                cleaned.set()

        outermost = asyncio.create_task(bridge.run(task))
        await began.wait()
        outermost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outermost
        await cleaned.wait()
        return said

    assert bridged(main) == ["innermost", "trio"]


# --- errors nobody foresaw --------------------------------------------------------------------------------------------

SECRET = "张三 11010519491231002X"  # noqa: S105 - what such an error may hold


def fail(error: BaseException | None = None) -> None:
    raise error or OddError(SECRET)


async def fail_in_task(error: BaseException) -> None:
    fail(error)


def check_written(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, name: str) -> None:
    """The log says what was raised, and nobody says what it said."""
    assert f"{name} at {__file__}" in caplog.text
    written = capfd.readouterr()
    for text in (caplog.text, written.out, written.err):
        assert SECRET not in text
    assert not written.err


@pytest.mark.parametrize(
    ("error", "told"), [(OddError(SECRET), OddError), (asyncio.CancelledError(SECRET), StrayCancellationError)]
)
def test_a_call_that_raises_is_told_and_harms_nobody_else(
    error: BaseException, told: type, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main(bridge: Bridge) -> tuple[list[Exception], int]:
        errors: list[Exception] = []
        bridge.call_soon(lambda: fail(error), errors.append)
        await bridge.run(trio.lowlevel.checkpoint)
        return errors, sum(bridge.statistics().internal_errors.values())

    errors, counted = bridged(main)
    assert list(map(type, errors)) == [told]
    assert counted == 1
    check_written(capfd, caplog, type(error).__name__)


def test_whoever_is_told_may_raise_as_well(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    def told(error: Exception | None) -> None:
        raise OddError(SECRET) from error

    async def main(bridge: Bridge) -> int:
        bridge.call_soon(fail, told)
        bridge.start(lambda: fail_in_task(OddError(SECRET)), told)
        bridge.start(trio.lowlevel.checkpoint, told)
        await bridge.run(trio.lowlevel.checkpoint)
        await bridge.run(trio.lowlevel.checkpoint)
        return sum(bridge.statistics().internal_errors.values())

    assert bridged(main) == 5
    check_written(capfd, caplog, "OddError")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OddError(SECRET), OddError),
        (asyncio.CancelledError(SECRET), StrayCancellationError),
        (BaseExceptionGroup(SECRET, [asyncio.CancelledError(SECRET)]), StrayCancellationError),
    ],
)
def test_a_task_that_raises_harms_nobody_else(
    error: BaseException, told: type[Exception], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main(bridge: Bridge) -> int:
        with pytest.raises(told):
            await bridge.run(lambda: fail_in_task(error))
        await bridge.run(trio.lowlevel.checkpoint)
        return sum(bridge.statistics().internal_errors.values())

    assert bridged(main) == 1
    check_written(capfd, caplog, type(error).__name__)


def test_what_is_raised_on_purpose_is_told_and_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def main(bridge: Bridge) -> int:
        with pytest.raises(BrokerError):
            await bridge.run(lambda: fail_in_task(BrokerError("the store is full")))
        return len(bridge.statistics().internal_errors)

    assert bridged(main) == 0
    assert not caplog.records


def test_who_is_told_after_the_end_may_raise_as_well() -> None:
    async def main() -> int:
        async with open_bridge() as bridge:
            pass
        bridge.start(trio.lowlevel.checkpoint, lambda _: fail())
        return sum(bridge.statistics().internal_errors.values())

    assert asyncio.run(main()) == 1


def test_what_asyncio_cancels_is_an_error_to_the_trio_task_that_waits_for_it() -> None:
    async def main(bridge: Bridge) -> None:
        async def cancelled() -> None:
            raise asyncio.CancelledError

        with pytest.raises(StrayCancellationError):
            await bridge.run(lambda: in_asyncio(cancelled()))
        await bridge.run(trio.lowlevel.checkpoint)

    bridged(main)


# --- the end ----------------------------------------------------------------------------------------------------------


def test_leaving_the_context_cancels_what_still_runs() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        async with open_bridge() as bridge:
            started = asyncio.Event()

            async def task() -> None:
                try:
                    started.set()
                    await trio.sleep_forever()
                finally:
                    said.append("cleaned up")

            bridge.start(task, lambda error: said.append(f"ended: {error}"))
            await started.wait()
        return said

    assert asyncio.run(main()) == ["cleaned up", "ended: the trio side ended before the task did"]


def test_what_is_awaited_in_asyncio_has_cleaned_up_before_the_context_is_left() -> None:
    async def main() -> list[str]:
        said: list[str] = []
        async with open_bridge() as bridge:
            started = asyncio.Event()

            async def coroutine() -> None:
                started.set()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    await asyncio.sleep(0)
                    said.append("cleaned up")

            bridge.start(lambda: in_asyncio(coroutine()), lambda _: None)
            await started.wait()
        return said

    assert asyncio.run(main()) == ["cleaned up"]


def test_after_the_end_nothing_hangs() -> None:
    async def main() -> list[type[BaseException | None]]:
        async with open_bridge() as bridge:
            pass
        bridge.call_soon(fail, fail)
        ends: list[type[BaseException | None]] = []
        bridge.start(trio.lowlevel.checkpoint, lambda error: ends.append(type(error))).cancel()
        async with asyncio.timeout(1):
            with pytest.raises(trio.RunFinishedError):
                await bridge.run(trio.lowlevel.checkpoint)
        return ends

    assert asyncio.run(main()) == [trio.RunFinishedError]


def test_what_starts_while_the_bridge_is_closing_ends_as_well() -> None:
    async def main() -> tuple[int, int]:
        ends: list[BaseException | None] = []
        started = 0

        async def start_on() -> None:
            nonlocal started
            for _ in range(200):
                bridge.start(trio.lowlevel.checkpoint, ends.append)
                started += 1
                await asyncio.sleep(0)

        async with open_bridge() as bridge:
            starting = asyncio.create_task(start_on())
            await asyncio.sleep(0)
        await starting
        return started, len(ends)

    started, ended = asyncio.run(main())
    assert started == ended == 200


def test_what_breaks_trio_is_told_to_every_task_and_raised_at_the_end() -> None:
    class DisasterError(BaseException):
        """Nothing a task is expected to raise."""

    async def main() -> None:
        async def task() -> None:
            raise DisasterError

        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        async with open_bridge() as bridge:
            bridge.start(trio.sleep_forever, ended.set_result)
            bridge.start(task, lambda _: None)
            assert isinstance(await ended, BridgeEndedError)

    with pytest.raises(BaseExceptionGroup) as group:
        asyncio.run(main())
    assert group.group_contains(DisasterError)


def test_two_bridges_one_after_the_other() -> None:
    async def task() -> int:
        return 7

    async def main() -> list[int]:
        results = []
        for _ in range(3):
            async with open_bridge() as bridge:
                results.append(await bridge.run(task))
        return results

    assert asyncio.run(main()) == [7, 7, 7]
