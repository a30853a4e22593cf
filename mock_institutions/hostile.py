"""A hostile institution: replies that cost their reader as much as possible. For tests and benchmarks of the reader.

Each kind is what one reply looks like on the wire, below HTTP. The path of a call selects the kind.
"""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_MIB = 1 << 20
_REPLY = 16 * _MIB  # bytes of a large reply
_TRICKLE_PAUSE = 0.001  # s between two bytes
_PIECE = 64 * 1024  # bytes written at a time

Reply = Callable[[str], Iterator[bytes]]
"""The bytes of a reply to the call with this request id."""


def _sized(body: bytes, headers: bytes = b"") -> bytes:
    return _OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _json(request_id: str, replies: bytes) -> bytes:
    return b'{"request_id":"%b","replies":[%b]}' % (request_id.encode(), replies)


def _one_byte_chunks(_: str) -> Iterator[bytes]:
    yield _CHUNKED
    yield from repeat(b"1\r\n \r\n" * 10_000, 100)
    yield b"0\r\n\r\n"


def _chunk_extensions(_: str) -> Iterator[bytes]:
    yield _CHUNKED
    yield from repeat(b"1;a=b;c=d;e=f;g=h;i=j\r\n \r\n" * 2_000, 500)
    yield b"0\r\n\r\n"


def _long_chunk_extensions(_: str) -> Iterator[bytes]:
    yield _CHUNKED
    yield from repeat(b"1;a=" + b"b" * 4_000 + b"\r\n \r\n", 4_000)
    yield b"0\r\n\r\n"


def _informational(_: str) -> Iterator[bytes]:
    yield from repeat(b"HTTP/1.1 102 Processing\r\n\r\n" * 2_000, 200)


def _many_headers(_: str) -> Iterator[bytes]:
    yield _OK
    yield from repeat(b"a:b\r\n" * 10_000, 400)


def _long_header(_: str) -> Iterator[bytes]:
    yield _OK + b"a:"
    yield from repeat(b"b" * _PIECE, 256)


def _trailers(_: str) -> Iterator[bytes]:
    yield _CHUNKED + b"0\r\n"
    yield from repeat(b"a:b\r\n" * 10_000, 400)


def _gzip_bomb(_: str) -> Iterator[bytes]:
    yield _sized(_BOMB, b"Content-Encoding: gzip\r\n")


def _gzip_members(_: str) -> Iterator[bytes]:
    yield _sized(_EMPTY_MEMBERS, b"Content-Encoding: gzip\r\n")


def _gzip_twice(_: str) -> Iterator[bytes]:
    yield _sized(_NESTED_BOMB, b"Content-Encoding: gzip, gzip\r\n")


def _rubbish(_: str) -> Iterator[bytes]:
    yield _OK + b"Content-Length: %d\r\n\r\n" % _REPLY
    yield from repeat(b"\x00\xff" * (_PIECE // 2), _REPLY // _PIECE)


def _small_objects(request_id: str) -> Iterator[bytes]:
    assets = b"{}," * (_REPLY // 3 - 100)
    yield _sized(_json(request_id, b'{"item":0,"outcome":"FOUND","assets":[%b{}]}' % assets))


def _small_items(request_id: str) -> Iterator[bytes]:
    item = b'{"item":1,"outcome":""},'
    yield _sized(_json(request_id, item * (_REPLY // len(item) - 100) + item[:-1]))


def _deep(request_id: str) -> Iterator[bytes]:
    yield _sized(_json(request_id, b"[" * (_REPLY // 2 - 100) + b"]" * (_REPLY // 2 - 100)))


def _holders(request_id: str) -> Iterator[bytes]:
    """Whatever was asked, 1,000 holders of each of 16 accounts: as long as an answer may be."""
    holder = b'{"document_type":"RESIDENT_ID","document_number":"11010119900307803X","name":"%b"}'
    holders = b",".join(holder % f"{'张' * 4}{number}".encode() for number in range(1_000))
    asset = b'{"holders":[%b],"account":{"account_number":"1"}}' % holders
    items = (b'{"item":%d,"outcome":"FOUND","assets":[%b,%b]}' % (item, asset, asset) for item in range(60))
    yield _sized(_json(request_id, b",".join(items)))


def _trickle(_: str) -> Iterator[bytes]:
    yield _OK + b"Content-Length: %d\r\n\r\n" % _MIB
    yield from repeat(b" ", _MIB)


def _surplus(request_id: str) -> Iterator[bytes]:
    """A reply, and a second one that nobody has asked for."""
    yield _sized(_json(request_id, b"")) + _sized(_json("another", b"") * 1_000) * 100


_BOMB = gzip.compress(bytes(256 * _MIB))
_NESTED_BOMB = gzip.compress(_BOMB)
_EMPTY_MEMBERS = gzip.compress(b"") * 200_000

KINDS: dict[str, Reply] = {
    "one-byte-chunks": _one_byte_chunks,
    "chunk-extensions": _chunk_extensions,
    "long-chunk-extensions": _long_chunk_extensions,
    "informational": _informational,
    "many-headers": _many_headers,
    "long-header": _long_header,
    "trailers": _trailers,
    "gzip-bomb": _gzip_bomb,
    "gzip-members": _gzip_members,
    "gzip-twice": _gzip_twice,
    "rubbish": _rubbish,
    "small-objects": _small_objects,
    "small-items": _small_items,
    "deep": _deep,
    "holders": _holders,
    "trickle": _trickle,
    "surplus": _surplus,
}
"""All kinds of replies, by the path of the call."""

_HEAD = re.compile(rb"POST /([\w-]+)/.*?\r\ncontent-length: *(\d+)\r\n", re.DOTALL | re.IGNORECASE)
_REQUEST_ID = re.compile(rb'"request_id":"(\w+)"')


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = _HEAD.match(await reader.readuntil(b"\r\n\r\n"))
            if head is None:
                return
            kind = head[1].decode()
            asked = _REQUEST_ID.search(await reader.readexactly(int(head[2])))
            for piece in KINDS[kind](asked[1].decode() if asked else ""):
                writer.write(piece)
                await writer.drain()
                if kind == "trickle":
                    await asyncio.sleep(_TRICKLE_PAUSE)
    except (asyncio.IncompleteReadError, ConnectionError):  # the client has had enough
        pass
    finally:
        writer.transport.abort()


@asynccontextmanager
async def hostile_institution(port: int = 0) -> AsyncIterator[str]:
    """Serves all kinds while the context is open. Yields the URL; a call of a kind goes to URL/KIND/anything."""
    server = await asyncio.start_server(_serve, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
