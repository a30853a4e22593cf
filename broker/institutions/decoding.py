"""Large replies are decoded in a process of its own beside the worker, one at a time. Asyncio only.

A reply of megabytes takes up to a second to decode, and as objects a hundred times its size: nothing that one call of a
C library could be stopped in. The process has limits of time and memory per reply (`decoding_process`). Whoever exceeds
them ends it, and the next large reply starts another; nobody else notices. It is started when it is first needed, and
ended when it has had nothing to do for a while, which also gives its memory back.
"""

import asyncio
import logging
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from subprocess import DEVNULL, PIPE
from typing import NamedTuple

import msgspec

from broker.errors import BadReplyError
from broker.model import Kind, Question, Reply

log = logging.getLogger(__name__)

PROGRAM = "broker.institutions.decoding_process"
"""The module that the process runs."""

LENGTH = 8
"""Bytes of the length in front of everything that is sent through the process's pipes, big-endian."""

_IDLE = 10.0  # s without a large reply until the process ends


class Job(NamedTuple):
    """A reply to be decoded."""

    dialect: str
    kind: Kind
    now: int
    """When it was received, in seconds since the epoch."""
    question: Question
    pieces: Sequence[bytes]
    """Its body. They are not joined in the worker: to copy megabytes takes milliseconds."""


class Task(msgspec.Struct, array_like=True):
    """What the process is told about a reply; the body follows. Mandates are of no concern for it."""

    dialect: str
    kind: Kind
    now: int
    question: Question


class Result(msgspec.Struct, array_like=True):
    """What the process says: the reply, or why there is none."""

    reply: Reply | None = None
    bad_reply: str = ""
    """The text of the `BadReplyError`."""
    failed_at: str = ""
    """Where the dialect failed as it must not (`errors.origin`)."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Result).decode


class DecodingProcess:
    """State: the process, if there is one; whose turn it is; the timer that will end the process."""

    def __init__(self, idle: float = _IDLE) -> None:
        """`idle`: seconds without a reply until the process ends."""
        self._idle = idle
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def decode(self, job: Job) -> Reply:
        """The reply in the body. Raises `BadReplyError`, also if decoding it takes too much time or memory."""
        async with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            try:
                result = await self._exchange(job)
            except BaseException as error:
                await self._end()  # if cancelled: its late result must not be taken for that of the next reply
                if isinstance(error, asyncio.IncompleteReadError | ConnectionError):
                    msg = "decoding the reply takes too much time or memory"
                    raise BadReplyError(msg) from None
                raise
            self._timer = asyncio.get_running_loop().call_later(self._idle, self._kill)
        return _reply(result)

    async def close(self) -> None:
        """Ends the process."""
        if self._timer is not None:
            self._timer.cancel()
        await self._end()

    async def _exchange(self, job: Job) -> Result:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", PROGRAM, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
            )
        to, back = self._process.stdin, self._process.stdout
        assert to is not None and back is not None  # noqa: S101, PT018 - they are pipes
        question = replace(job.question, mandates=())
        task = _encode(Task(job.dialect, job.kind, job.now, question))
        for pieces in ([task], job.pieces):
            to.write(sum(map(len, pieces)).to_bytes(LENGTH))
            for piece in pieces:
                to.write(piece)
                await to.drain()
        size = int.from_bytes(await back.readexactly(LENGTH))
        return _decode(await back.readexactly(size))

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _end(self) -> None:
        self._kill()
        process, self._process = self._process, None
        if process is not None:
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()
                with suppress(OSError):  # that of what was still to be written
                    await process.stdin.wait_closed()


def _reply(result: Result) -> Reply:
    if result.reply is not None:
        return result.reply
    if result.failed_at:
        log.error("internal error while a reply was decoded: %s", result.failed_at)
        msg = "decoding the reply failed; the log says where"
        raise RuntimeError(msg)
    raise BadReplyError(result.bad_reply)
