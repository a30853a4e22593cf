"""HTTP to institutions, over real sockets: whatever is not a whole, bounded reply is an error of the right kind."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import pytest
import uvloop
from aiohttp import web
from yarl import URL

from broker.errors import (
    BadReplyError,
    FailedError,
    InstitutionError,
    OverloadedError,
    RejectedError,
    UnreachableError,
)
from broker.institutions.reply_memory import ReplyMemory, ReplyRooms
from broker.institutions.route import Route
from broker.institutions.transport import HttpTransport
from mock_institutions.hostile import KINDS, hostile_institution

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHORT = 1 << 20
"""The longest reply these tests' calls take, in bytes."""


@asynccontextmanager
async def institution(*handlers: Handler) -> AsyncIterator[str]:
    """An HTTP server; gives the URL of the first handler. The others are at /1, /2 and so on."""
    application = web.Application()
    for number, handler in enumerate(handlers):
        application.router.add_route("*", f"/{number}", handler)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/0"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def wire(speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server below HTTP, which says whatever it likes once it has been asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await speak(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(10):
            return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


async def post(url: str, body: bytes = b"{}") -> bytes:
    with open_transport(url) as opened:
        return await ask(opened, body)


async def at_once(_: int) -> None:
    """Nobody has to wait."""


@contextmanager
def open_transport(url: str, *, connections: int = 4) -> Iterator[HttpTransport]:
    opened = HttpTransport(Route(URL(url), None), connections=connections, turn=at_once)
    try:
        yield opened
    finally:
        opened.close()


async def ask(opened: HttpTransport, body: bytes = b"{}", *, longest: int = SHORT) -> bytes:
    with ReplyRooms(ReplyMemory()).room(longest) as room:
        await opened.post(body, content_type="application/json", room=room)
        return b"".join(room.pieces)


def answer_of(handler: Handler) -> bytes:
    async def main() -> bytes:
        async with institution(handler) as url:
            return await post(url)

    return run(main)


def error_of(handler: Handler) -> InstitutionError:
    with pytest.raises(InstitutionError) as error:
        answer_of(handler)
    return error.value


def says(**response: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(**response)

    return handler


# --- right replies ----------------------------------------------------------------------------------------------------


def test_the_body_is_posted_and_the_reply_returned() -> None:
    seen: list[tuple[str, str, bytes, str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        seen.append((request.method, request.content_type, body, request.headers.get("Accept-Encoding")))
        return web.Response(body=b"the reply")

    assert answer_of(handler) == b"the reply"
    assert seen == [("POST", "application/json", b"{}", "gzip")]


@pytest.mark.parametrize("size", [0, 1, SHORT])
def test_a_reply_may_be_as_long_as_allowed(size: int) -> None:
    assert answer_of(says(body=b"x" * size)) == b"x" * size


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_reply_is_opened(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    reply = compress(b"the reply" * 1_000)
    assert answer_of(says(body=reply, headers={"Content-Encoding": encoding})) == b"the reply" * 1_000


def test_cookies_are_not_kept() -> None:
    seen: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(len(request.cookies))
        response = web.Response()
        response.set_cookie("session", "one court's")
        return response

    async def main() -> None:
        async with institution(handler) as url:
            with open_transport(url, connections=4) as opened:
                await ask(opened)
                await ask(opened)

    run(main)
    assert seen == [0, 0]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_too_many_requests_is_overload_with_the_pause_it_names(header: str | None, seconds: float | None) -> None:
    error = error_of(says(status=429, headers={"Retry-After": header} if header else {}))
    assert isinstance(error, OverloadedError)
    assert (error.retry_after, error.retryable, error.overload) == (seconds, True, True)


@pytest.mark.parametrize(("status", "overload"), [(500, False), (501, False), (502, False), (503, True), (599, False)])
def test_the_institutions_own_errors_may_be_repeated(status: int, overload: bool) -> None:
    error = error_of(says(status=status, body=b"a secret"))
    assert isinstance(error, FailedError)
    assert (error.retryable, error.overload) == (True, overload)
    assert str(status) in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("status", "divisible"), [(400, True), (413, True), (422, True), (401, False), (403, False), (404, False)]
)
def test_a_refused_batch_is_not_repeated_but_perhaps_divided(status: int, divisible: bool) -> None:
    error = error_of(says(status=status, body=b"a secret"))
    assert isinstance(error, RejectedError)
    assert (error.retryable, error.divisible) == (False, divisible)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    contacted: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": str(request.url.with_path("/1"))})

    async def elsewhere(request: web.Request) -> web.Response:
        contacted.append(request.method)
        return web.Response(body=b"the reply")

    async def main() -> None:
        async with institution(redirect, elsewhere) as url:
            await post(url)

    with pytest.raises(BadReplyError, match="redirects are not followed"):
        run(main)
    assert not contacted


@pytest.mark.parametrize("status", [201, 202, 204, 206, 304])
def test_another_kind_of_success_is_no_reply(status: int) -> None:
    assert isinstance(error_of(says(status=status)), BadReplyError)


# --- replies that are too large, or not whole -------------------------------------------------------------------------


def endless(sent: list[int], status: int = 200) -> Handler:
    """Sends until it is stopped, without saying how much it will be."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))
            sent[0] += 1 << 16

    return handler


def test_a_reply_that_is_too_long_is_given_up_before_it_is_read() -> None:
    sent = [0]
    error = error_of(endless(sent))
    assert isinstance(error, BadReplyError)
    assert str(SHORT) in str(error)
    assert sent[0] < 16 * SHORT  # what the sockets' buffers hold, and no more


@pytest.mark.parametrize("compressed", [False, True])
def test_each_call_says_how_long_its_reply_may_be(compressed: bool) -> None:
    reply = bytes(range(256)) * 16
    body = gzip.compress(reply, 0) if compressed else reply  # 0: stored, so that it is no shorter
    handler = says(body=body, headers={"Content-Encoding": "gzip"} if compressed else {})

    async def main() -> list[bytes]:
        async with institution(handler) as url:
            with open_transport(url, connections=1) as opened:
                taken = [await ask(opened, longest=len(body))]
                with pytest.raises(BadReplyError, match=str(len(reply) - 1)):
                    await ask(opened, longest=len(reply) - 1)
                return [*taken, await ask(opened, longest=len(body))]

    assert run(main) == [reply, reply]


def test_one_byte_too_many_is_too_long() -> None:
    assert isinstance(error_of(says(body=bytes(SHORT + 1))), BadReplyError)


def test_a_compressed_reply_cannot_fill_the_memory() -> None:
    bomb = gzip.compress(bytes(64 * SHORT))
    assert len(bomb) < SHORT
    tracemalloc.start()
    try:
        error = error_of(says(body=bomb, headers={"Content-Encoding": "gzip"}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, BadReplyError)
    assert peak < 16 * SHORT


@pytest.mark.parametrize("kept", [0, 1, 10, 50, -1])
def test_a_compressed_reply_cut_short_is_no_reply(kept: int) -> None:
    body = gzip.compress(bytes(range(256)) * 10)[:kept]
    assert isinstance(error_of(says(body=body, headers={"Content-Encoding": "gzip"})), BadReplyError)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_reply_that_only_claims_to_be_compressed_is_no_reply(encoding: str) -> None:
    assert isinstance(error_of(says(body=b"the reply", headers={"Content-Encoding": encoding})), BadReplyError)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_an_encoding_nobody_asked_for_is_no_reply(encoding: str) -> None:
    error = error_of(says(body=b"the reply", headers={"Content-Encoding": encoding}))
    assert isinstance(error, BadReplyError)
    assert encoding not in str(error)


@pytest.mark.parametrize("header", ["110101194912310021", "x" * 5_000])
def test_an_institutions_header_is_never_quoted(header: str) -> None:
    """The error is logged, and a header may hold anything: a subject's number, too."""
    error = error_of(says(body=b"the reply", headers={"Content-Encoding": header}))
    assert header[:10] not in str(error)


# --- connections that fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoken",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["nothing", "ssh", "half", "half a chunk", "bad chunk", "bad length", "half a header", "tls"],
)
def test_what_is_not_http_or_not_whole_is_unreachable(spoken: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(spoken)
        await writer.drain()

    async def main() -> bytes:
        async with wire(speak) as url:
            return await post(url)

    with pytest.raises(UnreachableError):
        run(main)


def test_a_reset_is_unreachable() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def main() -> bytes:
        async with wire(reset) as url:
            return await post(url, bytes(1 << 20))  # not read by the server: so it resets instead of closing

    with pytest.raises(UnreachableError):
        run(main)


def test_nobody_listening_is_unreachable() -> None:
    async def main() -> bytes:
        async with wire(lambda _, __: asyncio.sleep(0)) as url:
            pass
        return await post(url)

    with pytest.raises(UnreachableError):
        run(main)


def test_a_name_nobody_has_is_unreachable() -> None:
    with pytest.raises(UnreachableError):
        run(lambda: post("http://institution.invalid/"))


# --- calls that are given up ------------------------------------------------------------------------------------------


def test_a_call_given_up_closes_its_connection_and_its_late_reply_reaches_nobody() -> None:
    """The first call hangs and is given up; its reply is sent all the same, before the second one's."""

    async def main() -> list[bytes]:
        asked, left, late = asyncio.Event(), asyncio.Event(), asyncio.Event()
        connections: list[object] = []
        replies: list[bytes] = []

        async def handler(request: web.Request) -> web.Response:
            connections.append(request.transport)
            if len(connections) == 1:
                asked.set()
                try:
                    await late.wait()
                except asyncio.CancelledError:  # the server has seen the connection close
                    left.set()
                    raise
            return web.Response(body=b"to call %d" % len(connections))

        async with institution(handler) as url:
            with open_transport(url, connections=1) as opened:
                call = asyncio.create_task(ask(opened))
                await asked.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await left.wait()
                replies += [await ask(opened) for _ in range(2)]
        assert connections[0] is not connections[1]
        assert connections[1] is connections[2]  # a call that went well leaves its connection to the next
        return replies

    assert run(main) == [b"to call 2", b"to call 3"]


def test_a_reply_already_on_its_way_when_the_call_is_given_up_reaches_nobody() -> None:
    """Half of the first reply has arrived when its call is given up; the rest comes while the second is waiting."""

    async def main() -> bytes:
        half, more = asyncio.Event(), asyncio.Event()
        calls = 0

        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nto call 1,")
                await writer.drain()
                half.set()
                await more.wait()
                writer.write(b" and late.HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfrom hell")
            else:
                more.set()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nto call 2")

        async with wire(speak) as url:
            with open_transport(url, connections=1) as opened:
                call = asyncio.create_task(ask(opened))
                await half.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                return await ask(opened)

    assert run(main) == b"to call 2"


@pytest.mark.parametrize("status", [200, 307, 400, 429, 500, 503])
def test_a_reply_that_was_not_read_to_its_end_leaves_no_connection_behind(status: int) -> None:
    async def main() -> bytes:
        connections: set[object] = set()

        async def handler(request: web.Request) -> web.StreamResponse:
            connections.add(request.transport)
            return await endless([0], status)(request) if len(connections) == 1 else web.Response(body=b"fresh")

        async with institution(handler) as url:
            with open_transport(url, connections=4) as opened:
                with pytest.raises(InstitutionError):
                    await ask(opened)
                return await ask(opened)

    assert run(main) == b"fresh"


def test_no_more_connections_than_allowed_are_opened() -> None:
    async def main() -> int:
        busy = most = 0

        async def handler(_: web.Request) -> web.Response:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            return web.Response()

        async with institution(handler) as url:
            with open_transport(url, connections=3) as opened:
                await asyncio.gather(*[ask(opened) for _ in range(30)])
        return most

    assert run(main) <= 3


# --- replies that are meant to harm -----------------------------------------------------------------------------------

WHOLE = ("small-objects", "small-items", "deep", "holders", "surplus")
"""Kinds whose replies are in order as far as HTTP is concerned."""


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"trickle", *WHOLE}))
def test_a_reply_meant_to_harm_is_given_up_early_with_a_turn_for_others_between_steps(kind: str) -> None:
    turns: list[int] = []

    async def turn(size: int) -> None:
        turns.append(size)

    async def main() -> None:
        async with hostile_institution() as url:
            opened = HttpTransport(Route(URL(f"{url}/{kind}/v1/inquiries"), None), connections=1, turn=turn)
            with pytest.raises(BadReplyError):
                await ask(opened, longest=4 << 20)

    run(main)
    assert len(turns) < 300
    if kind in ("one-byte-chunks", "gzip-members"):
        assert len(turns) > 30


@pytest.mark.parametrize("kind", WHOLE)
def test_a_reply_that_harms_only_whoever_decodes_it_is_read(kind: str) -> None:
    async def main() -> bytes:
        async with hostile_institution() as url:
            return await ask(
                HttpTransport(Route(URL(f"{url}/{kind}/x"), None), connections=1, turn=at_once), longest=16 << 20
            )

    assert run(main).startswith(b'{"request_id":')


@pytest.mark.parametrize(
    ("spoken", "is_read"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 8 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreply", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreply", False),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 127 + b"Content-Length: 5\r\n\r\nreply", True),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 128 + b"Content-Length: 5\r\n\r\nreply", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\na:" + b"b" * 16_000 + b"\r\n\r\nreply", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\na:" + b"b" * 16_400 + b"\r\n\r\nreply", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nreply\r\n0\r\nx: y\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nreply", True),
        (b"HTTP/1.0 200 OK\r\n\r\nreply", True),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: \r\nContent-Length: 5\r\n\r\nreply",
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nreply",
            False,
        ),
    ],
)
def test_what_a_reply_may_consist_of(spoken: bytes, is_read: bool) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(spoken)
        await writer.drain()

    async def main() -> bytes:
        async with wire(speak) as url:
            return await post(url)

    if is_read:
        assert run(main) == b"reply"
    else:
        with pytest.raises(BadReplyError):
            run(main)


@pytest.mark.parametrize("with_the_reply", [True, False])
def test_a_reply_nobody_has_asked_for_is_not_the_reply_to_the_next_call(with_the_reply: bool) -> None:
    """It comes with the one before, or while nobody is waiting."""
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfrom hell"

    async def main() -> list[bytes]:
        calls, taken, closed = 0, asyncio.Event(), asyncio.Event()

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal calls
            calls += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nto call %d" % calls)
            if calls == 1 and with_the_reply:
                writer.write(surplus)
            elif calls == 1:
                await taken.wait()
                writer.write(surplus)
                with suppress(ConnectionError):
                    await reader.read()  # until the client has closed the connection
                closed.set()
            await writer.drain()

        async with wire(speak) as url:
            with open_transport(url, connections=1) as opened:
                replies = [await ask(opened)]
                taken.set()
                if not with_the_reply:
                    await closed.wait()
                return [*replies, await ask(opened)]

    assert run(main) == [b"to call 1", b"to call 2"]


def test_institutions_at_one_address_share_no_connection() -> None:
    async def main() -> int:
        connections: set[object] = set()

        async def handler(request: web.Request) -> web.Response:
            connections.add(request.transport)
            return web.Response()

        async with institution(handler) as url:
            with open_transport(url) as one, open_transport(url) as other:
                for opened in (one, other, one, other):
                    await ask(opened)
        return len(connections)

    assert run(main) == 2


def test_a_reply_that_comes_before_the_request_was_read_is_taken_and_its_connection_closed() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def main() -> bytes:
        async with wire(speak) as url:
            return await post(url, bytes(1 << 20))

    with pytest.raises((RejectedError, UnreachableError)):  # the reset may overtake the reply
        run(main)


@pytest.mark.parametrize(
    ("path", "line", "headers"),
    [
        ("/a?b=c%20d", b"POST /a?b=c%20d HTTP/1.1", [b"Host: 127.0.0.1:"]),
        ("", b"POST / HTTP/1.1", [b"Accept-Encoding: gzip", b"Content-Type: application/json", b"Content-Length: 2"]),
        ("/查询", b"POST /%E6%9F%A5%E8%AF%A2 HTTP/1.1", []),
    ],
)
def test_what_is_sent(path: str, line: bytes, headers: list[bytes]) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            await post(f"http://user:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}{path}")

    run(main)
    assert heads[0].startswith(line + b"\r\n")
    assert b"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in heads[0]
    assert all(header in heads[0] for header in headers)
