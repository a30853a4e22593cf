"""HTTP client for institutions: one POST per call, and a reply of limited size. Runs on asyncio.

A call that is cancelled or fails closes its connection. If the connection were used again, the late reply of the first
call could be read as the reply to the second, and one court would receive another's answers. Redirects are not
followed, because they would send a subject's data to an address that nobody configured. The size of a reply is limited
both before and after decompression.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp

from broker.errors import BadReplyError, FailedError, OverloadedError, RejectedError, UnreachableError

# Below the keep-alive of common servers (nginx 75 s, aiohttp 75 s), so that the client closes idle connections first.
# Otherwise a request could be sent on a connection that the server is just closing.
_KEEP_ALIVE = 30.0
_CONNECT_TIMEOUT = 5.0  # s; an institution's own timeout bounds the whole call
_DIVISIBLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Refusals that may be due to one inquiry or to their number. Others (401, 403, 404) concern the whole call."""


class HttpTransport:
    """A connection pool for all institutions."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, url: str, body: bytes, *, content_type: str, max_bytes: int) -> bytes:
        """Returns the body of the reply. Raises `InstitutionError` if there is none.

        `max_bytes` limits the reply, both as received and after decompression.
        """
        try:
            async with self._session.post(
                url, data=body, headers={"Content-Type": content_type}, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    response.close()
                    raise _refusal(response)
                return await _read(response, max_bytes)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            # Only the name of the error is logged: its text may contain an address.
            raise UnreachableError(type(error).__name__) from error


@asynccontextmanager
async def open_transport(*, connections: int) -> AsyncIterator[HttpTransport]:
    """Opens a transport with at most `connections` connections in total. Lanes limit them per institution."""
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
    await asyncio.sleep(0)  # lets the transports of closed connections end before the loop does


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            response.close()
            msg = f"the reply exceeds {max_bytes} bytes"
            raise BadReplyError(msg)
        chunks.append(chunk)
    raw = b"".join(chunks)
    match response.headers.get("Content-Encoding", "identity"):
        case "identity":
            return raw
        case "gzip" | "deflate":
            return _decompress(raw, max_bytes)
        case _:  # not quoted: errors are logged, and a header may contain anything
            msg = "the reply has a content encoding that was not requested"
            raise BadReplyError(msg)


def _decompress(raw: bytes, max_bytes: int) -> bytes:
    engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: detect gzip or zlib
    try:
        plain = engine.decompress(raw, max_bytes)
    except zlib.error:
        msg = "the compressed reply is corrupt"
        raise BadReplyError(msg) from None
    if engine.unconsumed_tail or not engine.eof:
        msg = f"the reply is truncated, or exceeds {max_bytes} bytes after decompression"
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
    """The Retry-After header in seconds. Its date form is rare, and treated as absent."""
    value = response.headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
