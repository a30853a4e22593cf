"""Performs faults over HTTP: what a client receives instead of a correct reply."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Callable
from functools import cache

import msgspec
from aiohttp import web

from mock_institutions.dialect import Batch, Inquiries
from mock_institutions.faults import FaultKind, Faults


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`content` as JSON."""
    body = msgspec.json.encode(content)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def refusal(status: int, reason: str, message: str, retry_after: int | None = None) -> web.Response:
    """The refusal of a whole call. `retry_after` is in seconds."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_response({"reason": reason, "message": message}, status, headers)


async def misbehave(
    fault: FaultKind, request: web.Request, *, settings: Faults, batch: Batch, write: Callable[[Batch], bytes]
) -> web.StreamResponse:
    """Performs a fault. `write` encodes the reply to a batch."""
    if fault in _INSTEAD:
        response = _INSTEAD[fault](settings)
        # A reply with status 200 has the content type of the dialect.
        if response.status == 200:
            response.content_type = request.content_type
        return response
    if fault in _DISTORTED:
        return web.Response(body=write(_DISTORTED[fault](batch)), content_type=request.content_type)
    if fault == "truncated":
        body = write(batch)
        return web.Response(body=body[: len(body) // 2], content_type=request.content_type)
    if fault == "broken_off":
        return await _break_off(request, write(batch))
    if fault == "hang":
        await asyncio.sleep(settings.hang_seconds)
    return _reset(request)


def _gzip_bomb(settings: Faults) -> web.Response:
    return web.Response(body=_bomb(settings.oversized_bytes), headers={"Content-Encoding": "gzip"})


_INSTEAD: dict[FaultKind, Callable[[Faults], web.Response]] = {
    "error": lambda _: refusal(500, "INTERNAL", "internal error"),
    "unavailable": lambda _: refusal(503, "UNAVAILABLE", "temporarily unavailable"),
    "rate_refusal": lambda settings: refusal(429, "TOO_FAST", "too many inquiries", settings.retry_after),
    "refusal": lambda _: refusal(400, "REFUSED", "the batch cannot be processed"),
    "redirect": lambda _: web.Response(status=307, headers={"Location": "/v1/moved"}),
    "garbage": lambda _: web.Response(body=b"\xff<html>an error page</html>"),
    "oversized": lambda settings: web.Response(body=b" " * settings.oversized_bytes),
    "gzip_bomb": _gzip_bomb,
}

_DISTORTED: dict[FaultKind, Callable[[Batch], Batch]] = {
    "surplus_item": lambda batch: batch._replace(inquiries=_with_surplus(batch.inquiries)),
    "missing_item": lambda batch: batch._replace(inquiries=_without_last(batch.inquiries)),
    "wrong_request_id": lambda batch: batch._replace(request_id=batch.request_id + "-other"),
}


def _without_last(inquiries: Inquiries) -> Inquiries:
    items, subject_types, numbers, names = inquiries
    return Inquiries(items[:-1], subject_types[:-1], numbers[:-1], names[:-1])


def _with_surplus(inquiries: Inquiries) -> Inquiries:
    """A copy with an additional item: the last inquiry again, under an unused number."""
    items, subject_types, numbers, names = inquiries
    return Inquiries(
        [*items, max(items) + 1], [*subject_types, subject_types[-1]], [*numbers, numbers[-1]], [*names, names[-1]]
    )


def _reset(request: web.Request) -> web.Response:
    """Resets the connection: with SO_LINGER of zero seconds, closing it sends RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()  # never sent


async def _break_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announces the whole body in Content-Length, sends half of it, and closes the connection."""
    response = web.StreamResponse(headers={"Content-Type": request.content_type, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@cache
def _bomb(size: int) -> bytes:
    """`size` spaces, compressed with gzip."""
    compressor = zlib.compressobj(level=9, wbits=31)  # 31: a gzip header around the largest window
    block = b" " * (1 << 20)
    whole, rest = divmod(size, len(block))
    parts = [compressor.compress(block) for _ in range(whole)]
    return b"".join([*parts, compressor.compress(block[:rest]), compressor.flush()])
