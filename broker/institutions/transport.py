"""HTTP client for institutions: one POST per call, and a reply within limits. Runs on asyncio.

A call that is cancelled or fails closes its connection. If the connection were used again, the late reply of the first
call could be read as the reply to the second, and one court would receive another's answers. For the same reason every
institution has connections of its own, even if several are at one address. Redirects are not followed, because they
would send a subject's data to an address that nobody configured.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import h11

from broker.errors import BadReplyError, FailedError, InstitutionError, OverloadedError, RejectedError, UnreachableError
from broker.institutions.content_coding import decoder
from broker.institutions.http_connection import BULK, HttpConnection, Turn
from broker.institutions.reply_limits import ReplyLimits
from broker.institutions.reply_memory import Room
from broker.institutions.route import Route
from broker.secret import Secret

# Below the keep-alive of common servers (nginx 75 s, aiohttp 75 s), so that the client closes idle connections first.
# Otherwise a request could be sent on a connection that the server is just closing.
_KEEP_ALIVE = 30.0
_CONNECT_TIMEOUT = 5.0  # s; an institution's own timeout bounds the whole call
_DIVISIBLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Refusals that may be due to one inquiry or to their number. Others (401, 403, 404) concern the whole call."""


class HttpTransport:
    """The way to one institution. State: its idle connections, each with the timer that will close it."""

    def __init__(
        self, route: Route, *, connections: int, turn: Turn, headers: Sequence[tuple[str, Secret]] = ()
    ) -> None:
        """At most `connections` are open at a time. `headers`: what every request has in addition."""
        self._route = route
        self._turn = turn
        self._permits = asyncio.Semaphore(connections)
        self._idle: list[tuple[HttpConnection, asyncio.TimerHandle]] = []
        self._head = _head(route, headers)

    async def post(self, body: bytes, *, content_type: str, room: Room) -> None:
        """Puts the content of the reply into the room. Raises `InstitutionError`."""
        async with self._permits:
            try:
                connection = self._take() or await self._connect()
                try:
                    connection.send(self._head % (content_type.encode(), len(body)), body)
                    await _read(connection, room, self._turn)
                except BaseException:
                    connection.close()
                    raise
            except (h11.RemoteProtocolError, OSError) as error:  # time-outs are OSErrors, too
                # Only the name of the error is logged: its text may contain an address or a part of the reply.
                raise UnreachableError(type(error).__name__) from None
            if connection.finish():
                self._put_back(connection)

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            connection, timer = self._idle.pop()
            timer.cancel()
            connection.close()

    def _take(self) -> HttpConnection | None:
        """The connection that was used last, if there is one."""
        while self._idle:
            connection, timer = self._idle.pop()
            timer.cancel()
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: HttpConnection) -> None:
        timer = asyncio.get_running_loop().call_later(_KEEP_ALIVE, self._close_oldest)
        self._idle.append((connection, timer))

    def _close_oldest(self) -> None:
        """The one whose timer has ended: all have the same time, and the one used last is taken first."""
        self._idle.pop(0)[0].close()

    async def _connect(self) -> HttpConnection:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            wire = await self._route.connect()
        return HttpConnection(wire, self._turn)


async def _read(connection: HttpConnection, room: Room, turn: Turn) -> None:
    """Reads the reply to the call that has begun."""
    limits = ReplyLimits()
    response = await connection.response(limits)
    if response.status_code != HTTPStatus.OK:
        raise _refusal(response)
    decoding = decoder([value.decode("latin-1") for value in _values(response, b"content-encoding")])
    async for data in connection.content(limits):
        for piece in decoding.feed(data):
            await room.add(piece)
            limits.decoded(len(piece))
            if limits.turn_is_due:
                await turn(BULK)
    decoding.end()


def _head(route: Route, further: Sequence[tuple[str, Secret]]) -> bytes:
    """The head of all requests, in which the type and the length of the content are left out."""
    headers = [("Host", route.url.host_port_subcomponent or ""), ("Accept", "*/*"), ("Accept-Encoding", "gzip")]
    headers += route.headers
    headers += [(name, value.reveal()) for name, value in further]
    lines = [f"POST {route.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    fixed = "".join(f"{line}\r\n" for line in lines).encode().replace(b"%", b"%%")
    return fixed + b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n"


def _values(response: h11.Response, header: bytes) -> list[bytes]:
    """The values of a header, which may occur several times. h11 gives names in lower case."""
    return [value for name, value in response.headers if name == header]


def _refusal(response: h11.Response) -> InstitutionError:
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return OverloadedError("HTTP 429", _retry_after(response))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return FailedError(f"HTTP {status}", overload=status == HTTPStatus.SERVICE_UNAVAILABLE)
    if status >= HTTPStatus.BAD_REQUEST:
        return RejectedError(f"HTTP {status}", divisible=status in _DIVISIBLE)
    return BadReplyError(f"HTTP {status} instead of a reply; redirects are not followed")


def _retry_after(response: h11.Response) -> float | None:
    """The Retry-After header in seconds. Its date form is rare, and treated as absent."""
    try:
        seconds = float(next(iter(_values(response, b"retry-after")), b""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
