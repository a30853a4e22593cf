"""What can be said about a lookup that protobuf cannot decode: its ref, if that is readable, and which field is not.

A lookup is undecodable if a text in it is not UTF-8, or if it is no message at all. It is INVALID by itself, and the
others of its request are answered. If its ref is not readable, its report has the position and no ref.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from broker.core.wire.outline import with_raw_texts
from broker.model import Problem
from broker.v1 import investigation_pb2 as pb

_RawLookup = with_raw_texts(pb.Lookup)
_REASON = "BAD_ENCODING"
_NO_LOOKUP = Problem(_REASON, "", "is no Lookup; see investigation.proto")


def describe(encoded: bytes) -> tuple[pb.Lookup, Problem]:
    """A lookup with at most the ref, and why the encoded one could not be decoded."""
    try:
        raw = _RawLookup.FromString(encoded)
    except DecodeError:
        return pb.Lookup(), _NO_LOOKUP
    unreadable = [field for field, text in _texts(raw) if not _is_readable(text)]
    ref = "" if "ref" in unreadable else raw.ref.decode()
    if not unreadable:  # a field that comes twice, of which the last counts
        return pb.Lookup(ref=ref), _NO_LOOKUP
    return pb.Lookup(ref=ref), Problem(_REASON, unreadable[0], "is not encoded in UTF-8: encode it")


def _texts(raw: Any, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The names and values of all texts in a raw message."""
    for field, value in raw.ListFields():
        if isinstance(value, bytes):
            yield prefix + field.name, value
        elif field.message_type is not None:
            yield from _texts(value, f"{field.name}.")


def _is_readable(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
