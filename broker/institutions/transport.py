"""HTTP to institutions: one POST, one bounded reply, no surprises. Runs on asyncio.

A call that is cancelled or fails closes its connection: a connection on which a late reply may still arrive must never
carry another request, or one court would read another's answer. Redirects are not followed, since they would carry a
subject's data to a place nobody configured. Replies are bounded before and after decompression.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from broker.errors import BadReplyError, FailedError, OverloadedError, RejectedError, UnreachableError

# Below the keep-alive of common servers (nginx 75 s, aiohttp 75 s, gunicorn 2 s behind a proxy): the client closes
# first, so that a request does not run into a connection the server is just closing.
_KEEP_ALIVE = 30.0
_CONNECT_TIMEOUT = 5.0  # s; an institution's own timeout bounds the whole call
_DIVISIBLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Refusals that may be about one inquiry, or about their number. Others (401, 403, 404) are about the caller."""


class HttpTransport:
    """A pool of connections to all institutions."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, url: str, body: bytes, *, content_type: str, longest: int) -> bytes:
        """The body of the reply. Raises an `InstitutionError` for everything else that can happen.

        `longest`: bytes the reply may have, as it comes and once decompressed.
        """
        try:
            async with self._session.post(
                url, data=body, headers={"Content-Type": content_type}, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    response.close()
                    raise _refusal(response)
                return await _read(response, longest)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            # The name of the error says what happened; its text may hold an address, but never a subject.
            raise UnreachableError(type(error).__name__) from error


@asynccontextmanager
async def open_transport(*, connections: int) -> AsyncIterator[HttpTransport]:
    """A transport with at most `connections` connections; lanes bound them per institution."""
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=_KEEP_ALIVE, ttl_dns_cache=60)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "gzip"},
        skip_auto_headers={"User-Agent"},
    ) as session:
        yield HttpTransport(session)
    await asyncio.sleep(0)  # lets closed connections' transports end before the loop does


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > longest:
            response.close()
            msg = f"the reply is longer than {longest} bytes"
            raise BadReplyError(msg)
        chunks.append(chunk)
    raw = b"".join(chunks)
    match response.headers.get("Content-Encoding", "identity"):
        case "identity":
            return raw
        case "gzip" | "deflate":
            return _decompress(raw, longest)
        case _:  # not quoted: errors are logged, and a header may hold anything
            msg = "the reply is in an encoding nobody asked for"
            raise BadReplyError(msg)


def _decompress(raw: bytes, longest: int) -> bytes:
    engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, whichever it is
    try:
        plain = engine.decompress(raw, longest)
    except zlib.error:
        msg = "the reply's compression is broken"
        raise BadReplyError(msg) from None
    if engine.unconsumed_tail or not engine.eof:
        msg = f"the reply is cut short, or longer than {longest} bytes once decompressed"
        raise BadReplyError(msg)
    return plain


def _refusal(response: aiohttp.ClientResponse) -> Exception:
    status = response.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return OverloadedError("HTTP 429", _retry_after(response))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return FailedError(f"HTTP {status}", overload=status == HTTPStatus.SERVICE_UNAVAILABLE)
    if status >= HTTPStatus.BAD_REQUEST:
        return RejectedError(f"HTTP {status}", divisible=status in _DIVISIBLE)
    return BadReplyError(f"HTTP {status} instead of a reply; redirects are not followed")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds; the header's date form is rare, and treated as absent."""
    value = response.headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
