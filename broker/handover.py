"""What one worker tells another when it hands lookups over: normalised columns there, encoded reports and a count back.

The receiver trusts what is in it: both ends are processes of one broker, and their socket is its user's alone. What
comes back is a stream of encoded `InvestigateResponse`s that hold reports and nothing else, to be passed on unread, and
last a `Footer`, which no such message can be mistaken for.
"""

import msgspec

from broker.contract import Request
from broker.model import Subject

METHOD = "/broker.internal.Colleague/TakeOver"

_FOOTER = b"\xff"  # no protobuf message of ours begins so: field numbers this high are not in use


class Handover(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Lookups to be answered by their owner: what is asked of whom, and aligned columns."""

    request: Request
    """The caller's, without its lookups."""
    selected: tuple[str, ...]
    """Institutions that the sender's registry makes of this; the counts in the footer are in their order."""
    time_left: float
    """Seconds."""
    positions: list[int]
    """In the caller's request."""
    heads: list[bytes]
    keys: list[bytes]
    subjects: list[Subject]


class Footer(msgspec.Struct, array_like=True, frozen=True):
    """The end of what a worker says: that all lookups were reported on, and how."""

    last: bytes
    """The last `InvestigateResponse`, if it is small; empty if all was said before."""
    counts: bytes
    """`Tally.counts`, in memory order."""
    complete: bool


_encode = msgspec.msgpack.encode
_decode_handover = msgspec.msgpack.Decoder(Handover).decode
_decode_footer = msgspec.msgpack.Decoder(Footer).decode


def pack_handover(handover: Handover) -> bytes:
    """The handover as bytes."""
    return _encode(handover)


def unpack_handover(body: bytes) -> Handover:
    """The handover in bytes from another worker. Raises `msgspec.MsgspecError` if they are none."""
    return _decode_handover(body)


def pack_footer(footer: Footer) -> bytes:
    """The footer as bytes."""
    return _FOOTER + _encode(footer)


def read_footer(message: bytes) -> Footer | None:
    """The footer in a message; None if it holds reports."""
    return _decode_footer(message[1:]) if message.startswith(_FOOTER) else None
