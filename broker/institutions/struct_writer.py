"""Writes msgspec structs straight into protobuf's wire form, without building messages.

A protobuf message in Python costs more than a microsecond for each of the dozen messages an asset is made of; joining
bytes costs a fraction of that. Writers are made once, from the contract's own descriptors, for structs whose members
have the names of the message's fields: what a descriptor does not know is an error at import, and
tests/core/test_struct_writer.py proves that what is written parses to the message built honestly.

Enumerations are given by their short names, dates as `date`, decimals as strings.
"""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NewType, get_args, get_type_hints

import msgspec
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from broker.core.wire import varint

Word = NewType("Word", str)
"""A text with few values, such as a branch or a brand: remembered once written."""
_WORDS = 4096

Writer = Callable[[Any], bytes]
"""Writes a value that is not the field's default, tag included. Raises `KeyError` for a word the contract lacks."""

_LENGTHS = [varint(length) for length in range(1 << 12)]
_MASK = (1 << 64) - 1  # negative numbers are written as their two's complement in 64 bits
_INT32 = range(-(1 << 31), 1 << 31)
_INT64 = range(-(1 << 63), 1 << 63)
_UINT32 = range(1 << 32)
_RANGES = {
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_UINT32: _UINT32,
}


def field_writer(field: FieldDescriptor, struct: type[msgspec.Struct]) -> Writer:
    """A writer of one `struct` as the given message field, or as one element of it if it is repeated."""
    tag = _tag(field)
    writers = _writers(field, struct)
    astuple = msgspec.structs.astuple

    def write(value: msgspec.Struct) -> bytes:
        body = b"".join([writer(part) for writer, part in zip(writers, astuple(value)) if part])  # noqa: B905 - aligned
        return b"%b%b%b" % (tag, _length(len(body)), body)

    return write


def _writers(field: FieldDescriptor, struct: type[msgspec.Struct]) -> list[Writer]:
    known = _message(field).fields_by_name
    hints = get_type_hints(struct)
    return [_writer(known[name], hints[name]) for name in struct.__struct_fields__]


def _writer(field: FieldDescriptor, hint: Any) -> Writer:
    if field.is_repeated:
        one = field_writer(field, get_args(hint)[0])
        return lambda values: b"".join([one(value) for value in values])
    if field.message_type is not None:
        return _message_writer(field, hint)
    tag = _tag(field)
    if field.enum_type is not None:
        return _words(field.enum_type, tag).__getitem__
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text_writer(tag) if hint is not Word else lru_cache(maxsize=_WORDS)(_text_writer(tag))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return lambda _: tag + b"\x01"
    return _integer_writer(tag, _RANGES[field.type])


def _text_writer(tag: bytes) -> Writer:
    heads = [tag + varint(size) for size in range(128)]  # nearly all texts are that short

    def write(text: str) -> bytes:
        data = text.encode()
        size = len(data)
        return heads[size] + data if size < 128 else tag + varint(size) + data

    return write


def _message_writer(field: FieldDescriptor, hint: Any) -> Writer:
    tag = _tag(field)
    match _message(field).full_name:
        case "google.type.Date":
            return lru_cache(maxsize=1 << 16)(lambda day: _bytes(tag, _date(day)))
        case "google.type.Decimal":
            return lambda text: _bytes(tag, _bytes(b"\x0a", text.encode()))
    structs = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return field_writer(field, structs[0])


def _message(field: FieldDescriptor) -> Descriptor:
    if field.message_type is None:
        msg = f"{field.full_name} is no message"
        raise TypeError(msg)
    return field.message_type


def _integer_writer(tag: bytes, bounds: range) -> Writer:
    small = [tag + varint(number) for number in range(256)]

    def write(number: int) -> bytes:
        if 0 <= number < 256:
            return small[number]
        if number not in bounds:
            msg = "a number the contract has no room for"
            raise OverflowError(msg)
        return tag + varint(number & _MASK)

    return write


def _words(enum: EnumDescriptor, tag: bytes) -> Mapping[str, bytes]:
    """Each short name, written. The first value is the default, and its name tells the prefix."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    return {
        value.name.removeprefix(prefix): tag + varint(value.number) if value.number else b"" for value in enum.values
    }


def _date(day: date) -> bytes:
    return b"".join((b"\x08", varint(day.year), b"\x10", varint(day.month), b"\x18", varint(day.day)))


def _bytes(tag: bytes, data: bytes) -> bytes:
    return b"".join((tag, _length(len(data)), data))


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < len(_LENGTHS) else varint(size)


def _tag(field: FieldDescriptor) -> bytes:
    """A field's number and how it is written: 2 for what has a length, 0 for numbers."""
    has_length = field.message_type is not None or field.type == FieldDescriptor.TYPE_STRING
    return varint(field.number << 3 | (2 if has_length else 0))
