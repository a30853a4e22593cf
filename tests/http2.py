"""Frames of HTTP/2 (RFC 9113) and fields of HPACK (RFC 7541), written by hand: also what no library would write."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM = ACK = 1
END_HEADERS = 4
INVESTIGATE = b"/broker.v1.InvestigationService/Investigate"
_POST, _HTTP = b"\x83", b"\x86"  # indexed in HPACK's static table
_HEAD = 9  # bytes before the payload


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RESET = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Frame(NamedTuple):
    """A frame that was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def opening(settings: bytes = b"") -> bytes:
    """What a client sends first."""
    return PREFACE + frame(Kind.SETTINGS, payload=settings)


def field(name: bytes, value: bytes, *, indexed: bool = False) -> bytes:
    """One header field, literal."""
    return (b"\x40" if indexed else b"\x00") + _integer(len(name)) + name + _integer(len(value)) + value


def _integer(value: int) -> bytes:
    """With a prefix of seven bits (RFC 7541, 5.1)."""
    if value < 127:
        return bytes([value])
    encoded, value = [127], value - 127
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def call_headers(path: bytes = INVESTIGATE, *more: tuple[bytes, bytes]) -> bytes:
    """The header block of a gRPC call."""
    fields = (
        (b":path", path),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    )
    return _POST + _HTTP + b"".join(field(name, value) for name, value in fields)


def message(content: bytes, *, compressed: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return bytes([compressed]) + struct.pack(">I", len(content)) + content


class FrameReader:
    """Cuts what is received into frames. State: the frame that is not whole yet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames that are whole by now."""
        self._rest += received
        while len(self._rest) >= _HEAD and len(self._rest) >= (end := _HEAD + int.from_bytes(self._rest[:3])):
            whole, self._rest = self._rest[:end], self._rest[end:]
            yield Frame(whole[3], whole[4], int.from_bytes(whole[5:_HEAD]), whole[_HEAD:])
