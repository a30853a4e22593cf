"""Messages as plain values, as protobuf's own JSON format has them, with the names of the contract.

protobuf's own converter takes a hundred microseconds per report, which would be most of the time of a large run. Values
are the same: `tests/formats/test_report_json.py` compares them.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from broker.v1 import investigation_pb2 as pb

_encode = msgspec.json.Encoder().encode
_LONG = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})


def to_json(message: Message, **more: Any) -> bytes:
    """A message as JSON in one line, with more members if any are given."""
    return _encode(to_plain(message) | more if more else to_plain(message))


def to_plain(message: Message) -> Any:
    """A message as a dictionary of its fields; timestamps and durations as text. Unset fields are omitted.

    Answers without assets, most of which are equal, are already encoded in it.
    """
    if isinstance(message, pb.Answer) and not message.assets:
        return _encoded_answer(message.SerializeToString())
    return _plain(message)


@lru_cache(maxsize=4096)
def _encoded_answer(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(_encode(_plain(pb.Answer.FromString(data))))


def _plain(message: Message) -> Any:
    if isinstance(message, Timestamp):
        return _moment(message.seconds, message.nanos)
    if isinstance(message, Duration):
        return message.ToJsonString()
    return {field.name: _converter(field)(value) for field, value in message.ListFields()}


@lru_cache(maxsize=4096)
def _moment(seconds: int, nanos: int) -> str:
    return Timestamp(seconds=seconds, nanos=nanos).ToJsonString()


@lru_cache(maxsize=1024)
def _converter(field: Any) -> Callable[[Any], Any]:
    """How values of a field are converted."""
    if field.message_type is not None:
        one: Callable[[Any], Any] = to_plain
    elif field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}

        def one(number: int) -> Any:
            return names.get(number, number)
    elif field.cpp_type in _LONG:
        one = str
    else:
        one = _same
    return (lambda values: [one(value) for value in values]) if field.is_repeated else one


def _same(value: Any) -> Any:
    return value
