"""The border of the two loops: what is run, raised, cancelled and ended on one side, as the other one sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio

from broker.loops.bridge import Bridge, BridgeEndedError, BridgeQueue, in_asyncio, open_bridge

T = TypeVar("T")


NEVER = 3_600.0  # s; a test that waits so long has failed


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


def test_an_errand_cancelled_before_it_began_still_ends() -> None:
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


def test_an_errand_may_be_cancelled_after_it_ended_and_twice() -> None:
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
            bridge.call_soon(lambda n=number: order.append(n))  # type: ignore[misc]
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


# --- BridgeQueue ------------------------------------------------------------------------------------------------------


def test_an_outlet_gives_all_there_is_in_order() -> None:
    async def main() -> list[list[int]]:
        queue: BridgeQueue[int] = BridgeQueue()
        queue.put([1, 2])
        queue.put([])
        queue.put([3])
        queue.end()
        return [await queue.take(), await queue.take(), await queue.take()]

    assert asyncio.run(main()) == [[1, 2, 3], [], []]


def test_an_outlet_makes_its_taker_wait() -> None:
    async def main(bridge: Bridge) -> list[list[int]]:
        queue: BridgeQueue[int] = BridgeQueue()

        async def produce() -> None:
            for number in range(3):
                await trio.lowlevel.checkpoint()
                queue.put([number])
            queue.end()

        taken: list[list[int]] = []
        bridge.start(produce, lambda _: None)
        while items := await queue.take():
            taken.append(items)
        return taken

    assert [number for items in bridged(main) for number in items] == [0, 1, 2]


def test_putting_nothing_wakes_nobody_up_for_nothing() -> None:
    """An empty list means the end, so it must not be what a put of nothing gives."""

    async def main() -> list[int]:
        queue: BridgeQueue[int] = BridgeQueue()
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.put([])
        await asyncio.sleep(0)
        queue.put([7])
        return await taking

    assert asyncio.run(main()) == [7]


def test_an_outlets_error_comes_after_what_was_put_before_it() -> None:
    async def main() -> list[int]:
        queue: BridgeQueue[int] = BridgeQueue()
        queue.put([1])
        queue.end(OddError("odd"))
        items = await queue.take()
        for _ in range(2):
            with pytest.raises(OddError):
                await queue.take()
        return items

    assert asyncio.run(main()) == [1]


def test_a_taker_that_left_loses_nothing() -> None:
    async def main() -> list[int]:
        queue: BridgeQueue[int] = BridgeQueue()
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        queue.put([1])
        queue.put([2])
        return await queue.take()

    assert asyncio.run(main()) == [1, 2]


def test_what_is_little_waits_until_there_is_enough() -> None:
    async def main() -> list[str]:
        queue: BridgeQueue[str] = BridgeQueue(weigh=lambda items: sum(map(len, items)))
        taking = asyncio.create_task(queue.take(enough=4, patience=NEVER))
        for item in ("a", "b", "cd"):
            for _ in range(5):
                await asyncio.sleep(0)
            assert not taking.done()
            queue.put([item])
        return await taking

    assert asyncio.run(main()) == ["a", "b", "cd"]


def test_enough_is_taken_at_once_and_counted_anew() -> None:
    async def main() -> list[list[int]]:
        queue: BridgeQueue[int] = BridgeQueue()
        queue.put([1, 2])
        first = await queue.take(enough=2, patience=NEVER)
        queue.put([3])
        return [first, await queue.take(enough=2, patience=0.001)]

    assert asyncio.run(main()) == [[1, 2], [3]]


@pytest.mark.parametrize("error", [None, OddError("odd")])
def test_what_is_little_does_not_wait_for_nothing(error: OddError | None) -> None:
    async def main() -> tuple[list[int], bool]:
        queue: BridgeQueue[int] = BridgeQueue()
        queue.put([1])
        taking = asyncio.create_task(queue.take(enough=2, patience=NEVER))
        await asyncio.sleep(0)
        queue.end(error)
        return await taking, queue.ended

    assert asyncio.run(main()) == ([1], error is None)


def test_an_outlet_has_ended_when_all_is_taken() -> None:
    async def main() -> list[bool]:
        queue: BridgeQueue[int] = BridgeQueue()
        seen = [queue.ended]
        queue.put([1])
        queue.end()
        seen.append(queue.ended)
        await queue.take()
        return [*seen, queue.ended]

    assert asyncio.run(main()) == [False, False, True]


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
        bridge.call_soon(lambda: None)
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
