"""Signs of life between workers: a peer that waits for institutions says so, and one that says nothing is given up.

A stopped or hung process keeps its connections open, so silence is all there is to go by. While a worker executes a
forward request and has nothing to report, it sends `ALIVE` every `BEAT` seconds; who has heard nothing for `SILENCE`
seconds does the work itself. A false alarm costs a question asked twice, never an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

ALIVE = b""
"""An `InvestigateResponse` that says nothing: a worker of an older version passes it on, and harms nobody."""
BEAT = 1.0  # s
SILENCE = 5.0  # s: as long as the supervisor waits for a worker that does not react; a busy loop is late by one or two

_Write = Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def beating(write: _Write, *, beat: float = BEAT) -> AsyncIterator[_Write]:
    """A way to write that sends `ALIVE` whenever nothing was written for `beat` seconds, while the context lasts."""
    writing = asyncio.Lock()  # gRPC takes one message at a time
    written = asyncio.Event()

    async def write_and_note(message: bytes) -> None:
        async with writing:
            await write(message)
        written.set()

    async def keep_beating() -> None:
        while True:
            written.clear()
            try:
                async with asyncio.timeout(beat):
                    await written.wait()
            except TimeoutError:
                if not writing.locked():  # else a message waits for the reader, which is no silence of ours
                    await write_and_note(ALIVE)

    beats = asyncio.create_task(keep_beating())
    try:
        yield write_and_note
    finally:
        beats.cancel()
        await asyncio.wait({beats})
        if not beats.cancelled():
            beats.exception()  # the caller has gone: whoever writes next learns of it, too
