"""The process that decodes large replies: what it returns, and what becomes of it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest
import uvloop

from broker.errors import BadReplyError
from broker.institutions import decoding_process
from broker.institutions.decoding import DecodingProcess, Job, Task
from broker.institutions.dialects import DIALECTS
from broker.model import Kind, Question, Subject, SubjectType
from tests.fakes import MANDATE

T = TypeVar("T")
ALICE = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
QUESTION = Question("request-1", "mock-bank", 1, [MANDATE], [0, 0], [ALICE, ALICE])
NOTHING = b'{"request_id":"request-1","replies":[{"item":0,"outcome":"NOT_FOUND"},{"item":1,"outcome":"?"}]}'


def run(main: Callable[[DecodingProcess], Awaitable[T]], *, idle: float = 60.0) -> T:
    """Runs the function with a decoding process."""

    async def bounded() -> T:
        decoding = DecodingProcess(idle)
        try:
            async with asyncio.timeout(60):
                return await main(decoding)
        finally:
            await decoding.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


def job(body: bytes, question: Question = QUESTION) -> Job:
    return Job("json", Kind.BANK, 1_800_000_000, question, [body[:20], body[20:]])


def pid(decoding: DecodingProcess) -> int:
    process = decoding._process
    assert process is not None
    return process.pid


def test_it_decodes_as_the_dialect_does_and_goes_on_after_bad_replies() -> None:
    async def main(decoding: DecodingProcess) -> set[int]:
        pids = set()
        for _ in range(2):
            reply = await decoding.decode(job(NOTHING))
            expected = DIALECTS["json"].decode(NOTHING, QUESTION, kind=Kind.BANK, now=1_800_000_000)
            assert replace(reply, contents=tuple(reply.contents), observed_at=tuple(reply.observed_at)) == expected
            with pytest.raises(BadReplyError, match="another request"):
                await decoding.decode(job(NOTHING.replace(b"request-1", b"request-2")))
            pids.add(pid(decoding))
        return pids

    assert len(run(main)) == 1


def test_a_process_that_ends_is_a_bad_reply_and_replaced() -> None:
    """The kernel ends it when a reply takes too much time or memory."""

    async def main(decoding: DecodingProcess) -> None:
        await decoding.decode(job(NOTHING))
        first = pid(decoding)
        os.kill(first, 19)  # stopped, so that it ends with the reply in its hands
        call = asyncio.create_task(decoding.decode(job(NOTHING)))
        await asyncio.sleep(0)
        os.kill(first, 9)
        with pytest.raises(BadReplyError, match="too much time or memory"):
            await call
        await decoding.decode(job(NOTHING))
        assert pid(decoding) != first

    run(main)


def test_a_call_given_up_leaves_no_result_to_the_next() -> None:
    async def main(decoding: DecodingProcess) -> None:
        await decoding.decode(job(NOTHING))
        first = pid(decoding)
        os.kill(first, 19)
        call = asyncio.create_task(decoding.decode(job(NOTHING)))
        await asyncio.sleep(0)  # it has begun
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        other = NOTHING.replace(b"request-1", b"request-2")
        reply = await decoding.decode(job(other, replace(QUESTION, request_id="request-2")))
        assert len(reply.outcomes) == 2
        assert pid(decoding) != first

    run(main)


def test_it_ends_when_it_has_nothing_to_do() -> None:
    async def main(decoding: DecodingProcess) -> None:
        await decoding.decode(job(NOTHING))
        process = decoding._process
        assert process is not None
        await process.wait()
        await decoding.decode(job(NOTHING))

    run(main, idle=0.0)


def test_replies_at_the_same_time_are_decoded_one_after_the_other() -> None:
    async def main(decoding: DecodingProcess) -> None:
        questions = [replace(QUESTION, request_id=f"r{number}") for number in range(5)]
        bodies = [NOTHING.replace(b"request-1", question.request_id.encode()) for question in questions]
        await asyncio.gather(*(decoding.decode(job(body, one)) for body, one in zip(bodies, questions, strict=True)))

    run(main)


def test_an_error_of_the_dialect_does_not_quote_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty:
        def decode(self, body: bytes, *_: object, **__: object) -> None:
            raise ValueError(body)

    monkeypatch.setitem(DIALECTS, "json", Faulty())
    result = decoding_process.decoded(Task("json", Kind.BANK, 1, QUESTION), b"110105")
    assert result.failed_at.startswith("ValueError at ")
    assert "110105" not in result.failed_at
