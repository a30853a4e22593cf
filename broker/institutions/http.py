"""Institutions reached over HTTP, in any dialect."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from yarl import URL

from broker.errors import InstitutionError
from broker.institutions.decoding import DecodingProcess, Job
from broker.institutions.dialects import DIALECTS
from broker.institutions.encryption import encryption
from broker.institutions.http_connection import Turn
from broker.institutions.reply_memory import LARGE, ReplyMemory, ReplyRooms, Room
from broker.institutions.route import Route
from broker.institutions.transport import HttpTransport
from broker.model import InstitutionSpec, Question, Reply

# No plausible reply is larger. One that is large all the same is decoded in another process.
_MAX_REPLY = 16 * 1024 * 1024  # bytes, for any number of inquiries
_BASE = 1024 * 1024  # bytes; the largest answer that is passed on (256 KiB of protobuf) is four times as large in JSON
_PER_INQUIRY = 16 * 1024  # bytes; about 20 accounts in JSON, as the average of a batch
_PLAIN_ANSWER = 256  # bytes; a reply takes as long to decode as one to so many inquiries, if they are answered plainly


class Post(Protocol):
    """Posts a body to an institution and puts the body of the reply into a room. Raises `InstitutionError`."""

    async def __call__(self, body: bytes, *, content_type: str, room: Room) -> None:
        """Runs in the event loop in which the institution is asked."""


Decode = Callable[[Job], Awaitable[Reply]]
"""Decodes a large reply outside the event loop. Raises `BadReplyError`."""


class HttpInstitution:
    """An `Institution` that runs in the event loop of `post`."""

    def __init__(
        self,
        spec: InstitutionSpec,
        *,
        post: Post,
        rooms: ReplyRooms,
        decode_large: Decode,
        turn: Turn,
        clock: Callable[[], float],
    ) -> None:
        """`turn` waits until work on this many inquiries may begin. `clock` returns seconds since the epoch."""
        self.spec = spec
        self._dialect = DIALECTS[spec.dialect]
        self._post = post
        self._rooms = rooms
        self._decode_large = decode_large
        self._turn = turn
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        try:
            return await self._ask(question)
        except (InstitutionError, asyncio.CancelledError) as error:
            # Its frames refer to what was received. Whoever keeps the error would keep that until garbage is collected.
            error.__context__ = None
            raise error.with_traceback(None) from None

    async def _ask(self, question: Question) -> Reply:
        size = len(question.subjects)
        await self._turn(size)
        with self._rooms.room(_max_reply(size)) as room:
            request = self._dialect.encode(question)
            await self._post(request, content_type=self._dialect.content_type, room=room)
            now = int(self._clock())
            if room.size > LARGE:
                return await self._decode_large(Job(self.spec.dialect, self.spec.kind, now, question, room.pieces))
            await self._turn(max(size, room.size // _PLAIN_ANSWER))
            return self._dialect.decode(b"".join(room.pieces), question, kind=self.spec.kind, now=now)


def _max_reply(inquiries: int) -> int:
    """The limit of a reply in bytes, which grows with the number of inquiries."""
    return min(_BASE + inquiries * _PER_INQUIRY, _MAX_REPLY)


def _transport(spec: InstitutionSpec, turn: Turn) -> HttpTransport:
    """Raises `ConfigError` if a file that the institution's block names cannot be used."""
    url, access = URL(spec.url), spec.access
    proxy = URL(access.proxy.reveal()) if access.proxy else None
    route = Route(url, encryption(access) if url.scheme == "https" else None, proxy)
    return HttpTransport(route, connections=spec.concurrency, turn=turn, headers=access.headers)


@asynccontextmanager
async def open_institutions(
    specs: Sequence[InstitutionSpec], *, turn: Turn, clock: Callable[[], float]
) -> AsyncIterator[list[HttpInstitution]]:
    """The institutions over their own connections, which are closed when the context ends. Asyncio only."""
    memory = ReplyMemory()
    decoding = DecodingProcess()
    transports = [_transport(spec, turn) for spec in specs]
    try:
        yield [
            HttpInstitution(
                spec,
                post=transport.post,
                rooms=ReplyRooms(memory),
                decode_large=decoding.decode,
                turn=turn,
                clock=clock,
            )
            for spec, transport in zip(specs, transports, strict=True)
        ]
    finally:
        for transport in transports:
            transport.close()
        memory.close()
        await decoding.close()
