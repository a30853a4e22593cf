"""Room for replies: small ones never wait, large ones wait for each other, and all of it is given back."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from broker.errors import BadReplyError
from broker.institutions.reply_memory import LARGE, ReplyMemory, ReplyRooms

MIB = 1 << 20


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def immediately(coroutine: Coroutine[Any, Any, None]) -> None:
    """Fails if it waits."""
    task = start(coroutine)
    await settle()
    assert task.done()
    task.result()


def start(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    return asyncio.create_task(coroutine)


def test_small_replies_never_wait() -> None:
    async def main() -> None:
        rooms = ReplyRooms(ReplyMemory(0))
        with ExitStack() as stack:
            for room in [stack.enter_context(rooms.room(MIB)) for _ in range(100)]:
                await immediately(room.add(bytes(LARGE)))

    asyncio.run(main())


def test_no_reply_is_longer_than_its_room() -> None:
    async def main() -> None:
        with ReplyRooms(ReplyMemory()).room(100) as room:
            await room.add(bytes(100))
            with pytest.raises(BadReplyError, match="exceeds 100 bytes"):
                await room.add(b"x")

    asyncio.run(main())


def test_large_replies_wait_until_there_is_room_for_all_they_may_become_in_order_of_arrival() -> None:
    async def main() -> None:
        memory = ReplyMemory(4 * MIB)
        with ExitStack() as first, ExitStack() as others:
            held = first.enter_context(ReplyRooms(memory).room(3 * MIB))
            await held.add(bytes(LARGE + 1))
            await held.add(bytes(MIB))  # nothing more is taken for it
            big = others.enter_context(ReplyRooms(memory).room(2 * MIB))
            little = others.enter_context(ReplyRooms(memory).room(MIB))
            waiting = [start(big.add(bytes(LARGE + 1))), start(little.add(bytes(LARGE + 1)))]
            await settle()
            assert [task.done() for task in waiting] == [False, False]  # the little one does not go ahead of the big
            first.close()
            await asyncio.gather(*waiting)

    asyncio.run(main())


def test_an_institution_holds_one_large_reply_at_a_time_and_others_need_not_wait_for_it() -> None:
    async def main() -> None:
        memory = ReplyMemory(16 * MIB)
        rooms = ReplyRooms(memory)
        with rooms.room(MIB) as other:
            with rooms.room(MIB) as one:
                await one.add(bytes(LARGE + 1))
                waiting = start(other.add(bytes(LARGE + 1)))
                with ReplyRooms(memory).room(MIB) as elsewhere:
                    await elsewhere.add(bytes(LARGE + 1))
                await settle()
                assert not waiting.done()
            await waiting

    asyncio.run(main())


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_whoever_is_cancelled_leaves_the_room_to_the_next(cancelled_first: bool) -> None:
    """Also if it is given the room in the very turn in which it is cancelled."""

    async def main() -> None:
        memory = ReplyMemory(MIB)
        with ExitStack() as first, ReplyRooms(memory).room(MIB) as second, ReplyRooms(memory).room(MIB) as third:
            await first.enter_context(ReplyRooms(memory).room(MIB)).add(bytes(LARGE + 1))
            given_up, waiting = start(second.add(bytes(LARGE + 1))), start(third.add(bytes(LARGE + 1)))
            await settle()
            if cancelled_first:
                given_up.cancel()
                first.close()
            else:
                first.close()
                given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            await waiting

    asyncio.run(main())


def test_everything_is_given_back() -> None:
    async def main() -> None:
        memory = ReplyMemory(MIB)
        for _ in range(3):
            rooms = ReplyRooms(memory)
            with rooms.room(MIB) as room:
                await room.add(bytes(MIB))
        with ReplyRooms(memory).room(MIB) as room, pytest.raises(BadReplyError):
            await room.add(bytes(MIB + 1))
        await immediately(memory.take(MIB))

    asyncio.run(main())


def test_a_room_lets_go_of_its_reply_whoever_still_knows_the_room() -> None:
    async def main() -> None:
        with ReplyRooms(ReplyMemory()).room(10) as room:
            await room.add(b"123456789")
            assert room.pieces == [b"123456789"]
        assert room.pieces == []

    asyncio.run(main())


def test_memory_is_given_back_to_the_system_once_after_large_replies() -> None:
    async def main() -> int:
        trimmed: list[int] = []
        was_trimmed = asyncio.Event()

        def trim() -> None:
            trimmed.append(1)
            was_trimmed.set()

        memory = ReplyMemory(trim=trim, trim_after=0.0)
        for _ in range(3):  # without a turn of the loop between them
            with ReplyRooms(memory).room(MIB) as room:
                await room.add(bytes(LARGE + 1))
        await was_trimmed.wait()
        return len(trimmed)

    assert asyncio.run(main()) == 1


def test_after_small_replies_nothing_is_given_back_to_the_system() -> None:
    trimmed: list[int] = []

    async def main() -> None:
        memory = ReplyMemory(trim=lambda: trimmed.append(1), trim_after=0.0)
        with ReplyRooms(memory).room(MIB) as room:
            await room.add(bytes(LARGE))
        await settle()

    asyncio.run(main())
    assert not trimmed
