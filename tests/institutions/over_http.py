"""An institution over HTTP without HTTP: a transport that always has the same reply."""

import asyncio
from collections.abc import Awaitable, Callable

from broker.institutions.decoding import Job
from broker.institutions.http import HttpInstitution
from broker.institutions.reply_memory import ReplyMemory, ReplyRooms, Room
from broker.institutions.stub import stub_spec
from broker.model import Question, Reply


class Posted:
    """Remembers the last call."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self.content_type = ""
        self.body = b""
        self.max_bytes = 0

    async def __call__(self, body: bytes, *, content_type: str, room: Room) -> None:
        self.body, self.content_type, self.max_bytes = body, content_type, room.max_bytes
        for piece in (self._reply[:10], self._reply[10:]):
            await room.add(piece)


async def at_once(_: int) -> None:
    """Nobody has to wait."""


async def not_large(_: Job) -> Reply:
    """Decodes no large replies."""
    raise NotImplementedError


def over_http(
    dialect: str,
    post: Posted,
    *,
    turn: Callable[[int], Awaitable[None]] = at_once,
    decode_large: Callable[[Job], Awaitable[Reply]] = not_large,
    now: float = 1_800_000_000,
) -> HttpInstitution:
    """An institution with this transport."""
    return HttpInstitution(
        stub_spec(dialect=dialect),
        post=post,
        rooms=ReplyRooms(ReplyMemory()),
        decode_large=decode_large,
        turn=turn,
        clock=lambda: now,
    )


def ask(institution: HttpInstitution, question: Question) -> Reply:
    """Asks it, in a loop of its own."""
    return asyncio.run(institution.ask(question))
