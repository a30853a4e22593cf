"""What one worker tells another when it hands lookups over: normalised columns there, encoded reports and a count back.

The receiver trusts what is in it: both ends are processes of one broker, and their socket is its user's alone. What
comes back is a stream of encoded `InvestigateResponse`s that hold reports and nothing else, to be passed on unread, and
last a `Trailer`, which no such message can be mistaken for.
"""

import msgspec

from broker.model import Request, Subject

METHOD = "/broker.internal.Peers/Forward"

_TRAILER = b"\xff"  # no protobuf message of ours begins so: field numbers this high are not in use


class ForwardRequest(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Lookups to be answered by their owner: what is asked of whom, and aligned columns."""

    request: Request
    """The caller's, without its lookups."""
    selected: tuple[str, ...]
    """Institutions that the sender's registry makes of this; the counts in the trailer are in their order."""
    time_left: float
    """Seconds."""
    positions: list[int]
    """In the caller's request."""
    heads: list[bytes]
    keys: list[bytes]
    subjects: list[Subject]


class Trailer(msgspec.Struct, array_like=True, frozen=True):
    """The end of what a worker says: that all lookups were reported on, and how."""

    last: bytes
    """The last `InvestigateResponse`, if it is small; empty if all was said before."""
    counts: bytes
    """`Tally.counts`, in memory order."""
    complete: bool
    transcript: bytes = b""
    """What is recorded of the answers (`Transcript.encoded`), if the broker keeps an audit log."""


_PER_LOOKUP = 1_024  # bytes: key, position, the framing of columns, and warnings, of which a lookup has a few
_NAMES_OF_INSTITUTIONS = 1 << 20  # bytes; 4,000 ids of 64 characters take a quarter
_TEXTS = 4  # the texts of a request are in it, and again in columns; a subject of one kind or the other takes less


def longest_forward_request(request_bytes: int, lookups: int) -> int:
    """Bytes of the longest forward request, of requests that have at most so many bytes and lookups."""
    return _TEXTS * request_bytes + _PER_LOOKUP * lookups + _NAMES_OF_INSTITUTIONS


_encode = msgspec.msgpack.encode
_decode_request = msgspec.msgpack.Decoder(ForwardRequest).decode
_decode_trailer = msgspec.msgpack.Decoder(Trailer).decode


def encode_forward_request(forward_request: ForwardRequest) -> bytes:
    """The forward_request as bytes."""
    return _encode(forward_request)


def decode_forward_request(body: bytes) -> ForwardRequest:
    """The forward_request in bytes from another worker. Raises `msgspec.MsgspecError` if they are none."""
    try:
        return _decode_request(body)
    except UnicodeDecodeError as error:  # which msgspec lets through
        raise msgspec.DecodeError(str(error.reason)) from None


def encode_trailer(trailer: Trailer) -> bytes:
    """The trailer as bytes."""
    return _TRAILER + _encode(trailer)


def decode_trailer(message: bytes) -> Trailer | None:
    """The trailer in a message; None if it holds reports."""
    return _decode_trailer(message[1:]) if message.startswith(_TRAILER) else None
