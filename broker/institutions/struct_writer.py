"""Writes msgspec structs straight into protobuf's wire form, without building messages.

A protobuf message in Python costs more than a microsecond for each of the dozen messages an asset is made of; joining
bytes costs a fraction of that, and a fraction of it again when a member is written for all structs of a reply in one
go. Writers are made once, from the contract's own descriptors, for structs whose members have the names of the
message's fields: what a descriptor does not know is an error at import, and tests/core/test_struct_writer.py proves
that what is written parses to the message built honestly.

Enumerations are given by their short names, dates as `date`, decimals as strings.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NewType, get_args, get_type_hints

import msgspec
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from broker.core.wire.encoding import varint

Word = NewType("Word", str)
"""A text with few values, such as a branch or a brand: remembered once written."""
_WORDS = 4096
_LONGEST_WORD = 64  # characters; whoever sends longer ones must not fill our memory
_DAYS = 1 << 16  # 180 years
_SHORT = 1 << 10  # bytes; heads of what is shorter are made beforehand

EncodedColumns = Sequence[Sequence[bytes]]
"""ExecutionContext of each value, to be joined across the columns."""
Writer = Callable[[Sequence[Any]], EncodedColumns]
"""Writes a column of values, each with its tag, and fields' defaults as nothing.

Raises `KeyError` for a word and `OverflowError` for a number the contract has no room for.
"""

_MASK = (1 << 64) - 1  # negative numbers are written as their two's complement in 64 bits
_RANGES = {
    FieldDescriptor.TYPE_INT32: range(-(1 << 31), 1 << 31),
    FieldDescriptor.TYPE_INT64: range(-(1 << 63), 1 << 63),
    FieldDescriptor.TYPE_UINT32: range(1 << 32),
}


def field_writer(field: FieldDescriptor, hint: Any) -> Callable[[Sequence[Any]], list[bytes]]:
    """A writer of values of type `hint` as the given field: each value becomes one `bytes`. Raises as a `Writer`."""
    write = _writer(field, hint)
    return lambda values: _joined(write(values))


def columns_writer(field: FieldDescriptor, struct: type[msgspec.Struct]) -> Callable[[Sequence[Sequence[Any]]], bytes]:
    """A writer of many structs as the given repeated field, one after the other, given by a column for each member.

    Raises as a `Writer`.
    """
    write = _members_writer(field, struct)
    return lambda columns: b"".join(_joined(write(columns)))


def _joined(columns: EncodedColumns) -> list[bytes]:
    return list(map(b"".join, zip(*columns, strict=True)))


def _writer(field: FieldDescriptor, hint: Any) -> Writer:
    tag = _tag(field)
    if field.is_repeated:
        return _repeated(_struct_writer(field, get_args(hint)[0]))
    if field.message_type is not None:
        return _message_writer(field, hint)
    if field.enum_type is not None:
        return _each(_words(field.enum_type, tag).__getitem__)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _word_writer(tag) if hint is Word else _text_writer(tag)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _each((b"", tag + b"\x01").__getitem__)
    return _integer_writer(tag, _RANGES[field.type])


def _each(function: Callable[[Any], bytes]) -> Writer:
    return lambda column: (list(map(function, column)),)


def _struct_writer(field: FieldDescriptor, struct: type[msgspec.Struct]) -> Writer:
    write = _members_writer(field, struct)
    astuple = msgspec.structs.astuple
    return lambda structs: write(list(zip(*map(astuple, structs), strict=True)))


def _members_writer(
    field: FieldDescriptor, struct: type[msgspec.Struct]
) -> Callable[[Sequence[Sequence[Any]]], EncodedColumns]:
    """A writer of structs, given by columns: one for each member, or none at all."""
    tag = _tag(field)
    heads = _heads(tag, empty=tag + b"\x00")
    known = _message(field).fields_by_name
    hints = get_type_hints(struct)
    members = [_writer(known[name], hints[name]) for name in struct.__struct_fields__]

    def write(columns: Sequence[Sequence[Any]]) -> EncodedColumns:
        parts = [part for member, column in zip(members, columns) if any(column) for part in member(column)]  # noqa: B905 - aligned, or none
        bodies = _joined(parts) if parts else [b""] * (len(columns[0]) if columns else 0)
        return heads(bodies), bodies

    return write


def _message_writer(field: FieldDescriptor, hint: Any) -> Writer:
    match _message(field).full_name:
        case "google.type.Date":
            tag = _tag(field)
            return _each(lru_cache(maxsize=_DAYS)(lambda day: _date(tag, day) if day else b""))
        case "google.type.Decimal":
            tag = _tag(field)
            return _each(lambda text: _delimited(tag, _delimited(b"\x0a", text.encode())) if text else b"")
    structs = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return _optional(_struct_writer(field, structs[0]))


def _optional(write: Writer) -> Writer:
    return lambda column: _regrouped(write(list(filter(None, column))), list(map(bool, column)))


def _repeated(write: Writer) -> Writer:
    return lambda column: _regrouped(write(list(chain.from_iterable(column))), list(map(len, column)))


def _regrouped(columns: EncodedColumns, sizes: Sequence[int]) -> EncodedColumns:
    """The first `sizes[0]` values as one, the next `sizes[1]` values as one, and so on."""
    if sizes.count(1) == len(sizes):
        return columns
    ones = iter(_joined(columns))
    return ([b"".join(islice(ones, size)) if size else b"" for size in sizes],)


def _message(field: FieldDescriptor) -> Descriptor:
    if field.message_type is None:
        msg = f"{field.full_name} is no message"
        raise TypeError(msg)
    return field.message_type


def _text_writer(tag: bytes) -> Writer:
    heads = _heads(tag, empty=b"")

    def write(texts: Sequence[str]) -> EncodedColumns:
        encoded = list(map(str.encode, texts))
        return heads(encoded), encoded

    return write


def _word_writer(tag: bytes) -> Writer:
    remembered = _each(lru_cache(maxsize=_WORDS)(lambda text: _delimited(tag, text.encode()) if text else b""))
    others = _text_writer(tag)
    return lambda texts: (remembered if max(map(len, texts)) <= _LONGEST_WORD else others)(texts)


def _heads(tag: bytes, *, empty: bytes) -> Callable[[Sequence[bytes]], list[bytes]]:
    """What comes before each of a column of values: tag and length, or `empty`."""
    short = [empty, *(tag + varint(size) for size in range(1, _SHORT))]

    def heads(values: Sequence[bytes]) -> list[bytes]:
        sizes = list(map(len, values))
        try:
            return list(map(short.__getitem__, sizes))
        except IndexError:
            return [tag + varint(size) if size else empty for size in sizes]

    return heads


def _integer_writer(tag: bytes, bounds: range) -> Writer:
    def written(number: int) -> bytes:
        return tag + varint(number & _MASK) if number else b""

    if bounds.stop <= 1 << 32:  # ranks and hundredths, of which there are few; not sums of money
        written = lru_cache(maxsize=_WORDS)(written)

    def write(numbers: Sequence[int]) -> EncodedColumns:
        if min(numbers) not in bounds or max(numbers) not in bounds:
            msg = "a number the contract has no room for"
            raise OverflowError(msg)
        return (list(map(written, numbers)),)

    return write


def _words(enum: EnumDescriptor, tag: bytes) -> Mapping[str, bytes]:
    """Each short name, written. The first value is the default, and its name tells the prefix."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    return {
        value.name.removeprefix(prefix): tag + varint(value.number) if value.number else b"" for value in enum.values
    }


def _date(tag: bytes, day: date) -> bytes:
    return _delimited(tag, b"".join((b"\x08", varint(day.year), b"\x10", varint(day.month), b"\x18", varint(day.day))))


def _delimited(tag: bytes, data: bytes) -> bytes:
    return b"".join((tag, varint(len(data)), data))


def _tag(field: FieldDescriptor) -> bytes:
    """A field's number and how it is written: 2 for what has a length, 0 for numbers."""
    has_length = field.message_type is not None or field.type == FieldDescriptor.TYPE_STRING
    return varint(field.number << 3 | (2 if has_length else 0))
