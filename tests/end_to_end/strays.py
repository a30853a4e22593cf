"""Bytes that reach a port by mistake or malice, all holding a debtor's data, and how to recognise that data in a text.

A port meets more than its own protocol: a request sent to the wrong one, TLS where there is none, scanners, clients
that break off. Each `Stray` is one connection's worth of bytes.
"""

import base64
import random
import struct
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from broker.peers.messages import METHOD
from broker.v1 import investigation_pb2 as pb
from tests.http2 import END_HEADERS, END_STREAM, INVESTIGATE, PREFACE, Kind, call_headers, frame, message, opening

NUMBER = "640221198808083914"
NAME = "欧阳疏影"
_WINDOW = 9
"""Digits of the number that give it away: servers quote what they object to in part."""

_MARK = f"{NUMBER} {NAME}".encode()


def traces(text: str, among: frozenset[str] | None = None) -> set[str]:
    """In what forms the debtor's data is in a text; empty if it is not. `among`: the forms of others' data."""
    return {form for form in (_FORMS if among is None else among) if form in text}


def forms_of(number: str, name: str) -> Iterator[str]:
    """How somebody's data may appear in a text: in part, and in many encodings."""
    for start in range(len(number) - _WINDOW + 1):
        window = number[start : start + _WINDOW]
        yield from (window, window.encode().hex())
    encoded_name = name.encode()
    halves = (encoded_name[:6], encoded_name[6:]) if len(name) == 4 else (encoded_name,)  # two characters each
    for part in halves:
        yield from (
            part.decode(),
            part.hex(),
            part.decode("latin-1"),
            repr(part)[2:-1],
            quote(part),
            quote(part).lower(),
        )
        yield from (ascii(part.decode())[1:-1], ascii(part.decode("ascii", "surrogateescape"))[1:-1])
    for data in (number.encode(), encoded_name):
        for shift in range(3):  # what comes before decides how the bits fall
            encoded = base64.b64encode(bytes(shift) + data).decode()
            if len(window := encoded[4:][:_WINDOW]) == _WINDOW:
                yield window


_FORMS = frozenset(forms_of(NUMBER, NAME))


class Stray(NamedTuple):
    """What one connection sends."""

    name: str
    sent: bytes


def strays() -> list[Stray]:
    """All there are, each whole and cut in half."""
    whole = [*_http1(), *_http2(), *_tls(), *_garbage()]
    return [*whole, *(Stray(f"half of {name}", sent[: len(sent) // 2]) for name, sent in whole)]


def _http1() -> Iterator[Stray]:
    host, end = b"Host: localhost\r\n", b"\r\n\r\n"
    post = b"POST /v1/inquiries HTTP/1.1\r\nContent-Type: application/json\r\n" + host
    for name, sent in {
        "request line": b"GET /" + _MARK + b" HTTP/9.9\r\n" + host + end,
        "method": b"{" + _MARK + b"} / HTTP/1.1\r\n" + host + end,
        "path": b"GET /" + quote(_MARK).encode() + b" HTTP/1.1\r\n" + host + end,
        "query": b"GET /metrics?name[]=" + quote(_MARK).encode() + b" HTTP/1.1\r\n" + host + end,
        "absolute target": b"GET http://[" + NUMBER.encode() + b"/ HTTP/1.1\r\n" + host + end,
        "long request line": b"GET /" + NUMBER.encode() * 1_000 + b" HTTP/1.1\r\n" + host + end,
        "header with NUL": b"GET / HTTP/1.1\r\n" + host + b"X-Debtor: \x00" + _MARK + end,
        "header name": b"GET / HTTP/1.1\r\n" + host + b"X Debtor(" + _MARK + b"): x" + end,
        "header without colon": b"GET / HTTP/1.1\r\n" + host + _MARK + end,
        "long header": b"GET / HTTP/1.1\r\n" + host + b"X-Debtor: " + _MARK * 1_000 + end,
        "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %b\r\n" % (n, _MARK) for n in range(500)) + end,
        "expectation": b"GET /metrics HTTP/1.1\r\n" + host + b"Expect: " + _MARK + end,
        "expectation nowhere": b"GET /nowhere HTTP/1.1\r\n" + host + b"Expect: " + _MARK + end,
        "length": post + b"Content-Length: " + NUMBER.encode() * 3 + end + _MARK,
        "two lengths": post + b"Content-Length: 5\r\nContent-Length: 18" + end + _MARK,
        "length and chunks": post + b"Content-Length: 18\r\nTransfer-Encoding: chunked" + end + _MARK,
        "chunk size": post + b"Transfer-Encoding: chunked" + end + _MARK + b"\r\n",
        "chunk": post + b"Transfer-Encoding: chunked" + end + b"2\r\n" + _MARK + b"\r\n0\r\n\r\n",
        "transfer encoding": post + b"Transfer-Encoding: " + _MARK + end,
        "content encoding": post + b"Content-Encoding: gzip\r\nContent-Length: 18" + end + NUMBER.encode(),
        "content type": post.replace(b"application/json", _MARK) + b"Content-Length: 0" + end,
        "JSON": post + b"Content-Length: 18" + end + NUMBER.encode(),
        "JSON keys": post + b'Content-Length: 22\r\n\r\n{"%b":1}' % NUMBER.encode(),
        "upgrade": b"GET / HTTP/1.1\r\n" + host + b"Upgrade: websocket\r\nConnection: Upgrade" + end + _MARK,
        "cookie": b"GET / HTTP/1.1\r\n" + host + b'Cookie: "' + _MARK + b"\x7f=[]" + end,
        "garbage behind a request": b"GET / HTTP/1.1\r\n" + host + b"\r\n" + _MARK + end,
    }.items():
        yield Stray(f"HTTP/1.1: {name}", sent)


def call(path: bytes, *fields: tuple[bytes, bytes]) -> bytes:
    return frame(Kind.HEADERS, END_HEADERS, 1, call_headers(path, *fields))


def body(content: bytes, *, compressed: int = 0) -> bytes:
    return frame(Kind.DATA, END_STREAM, 1, message(content, compressed=compressed))


def _http2() -> Iterator[Stray]:
    for name, frames in {
        "header": call(INVESTIGATE, (b"x-debtor", _MARK)) + body(_request()),
        "binary header": call(INVESTIGATE, (b"x-debtor-bin", _MARK)) + body(_request()),
        "timeout": call(INVESTIGATE, (b"grpc-timeout", NUMBER.encode())) + body(_request()),
        "encoding": call(INVESTIGATE, (b"grpc-encoding", _MARK)) + body(_request()),
        "upper case": call(INVESTIGATE, (b"X-Debtor", _MARK)) + body(_request()),
        "method": call(b"/broker.v1.InvestigationService/" + NUMBER.encode()) + body(_request()),
        "no path": call(_MARK),
        "pseudo header": call(INVESTIGATE, (b":debtor", _MARK)),
        "request": call(INVESTIGATE) + body(_request()),
        "garbled request": call(INVESTIGATE) + body(b"\xff" + _MARK),
        "compressed request": call(INVESTIGATE) + body(_MARK, compressed=1),
        "unknown compression": call(INVESTIGATE) + body(_MARK, compressed=7),
        "forward request": call(METHOD.encode()) + body(_MARK),
        "data without a stream": frame(Kind.DATA, 0, 5, _MARK),
        "settings": frame(Kind.SETTINGS, 0, 0, _MARK),
        "ping": frame(Kind.PING, 0, 0, NUMBER.encode()[:8]),
        "reset": frame(Kind.RESET, 0, 1, _MARK),
        "goodbye": frame(Kind.GOAWAY, 0, 0, struct.pack(">II", 0, 2) + _MARK),
        "continuation": frame(Kind.CONTINUATION, END_HEADERS, 1, _MARK),
        "unknown frame": frame(0x42, 0, 0, _MARK),
        "garbled headers": frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff" + _MARK),
    }.items():
        yield Stray(f"HTTP/2: {name}", opening() + frames)
    yield Stray("HTTP/2: garbage for settings", PREFACE + _MARK)


def _request() -> bytes:
    """A debtor's data wherever a request has room for text."""
    request = pb.InvestigateRequest(institution_ids=[NUMBER], request_id=f"{NUMBER} {NAME}")
    for field in ("court_code", "officer", "case_number", "legal_document"):
        setattr(request.mandate, field, f"{NUMBER} {NAME}")
    request.lookups.add(ref=NUMBER).person.MergeFrom(pb.Person(name=NAME, document_number=NUMBER))
    return request.SerializeToString()


def _tls() -> Iterator[Stray]:
    server_name = b"\x00" + struct.pack(">H", len(_MARK)) + _MARK
    names = struct.pack(">H", len(server_name)) + server_name
    extension = struct.pack(">HH", 0, len(names)) + names
    hello = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    hello += struct.pack(">H", len(extension)) + extension
    handshake = b"\x01" + struct.pack(">I", len(hello))[1:] + hello
    yield Stray("TLS: hello", b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake)


def _garbage() -> Iterator[Stray]:
    yield Stray("garbage: the data alone", _MARK)
    yield Stray("garbage: the data in lines", (_MARK + b"\r\n") * 500)
    for seed in range(8):
        chance = random.Random(seed)  # noqa: S311 - it is to be the same each time
        yield Stray(f"garbage: number {seed}", chance.randbytes(30) + _MARK + chance.randbytes(30) + b"\r\n\r\n")
