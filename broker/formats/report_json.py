"""Reports as JSON, as protobuf's own JSON format has them, with the names of the contract.

protobuf's own converter takes a hundred microseconds per report, which would be most of the time of a large run. The
values are the same (`tests/formats/test_report_json.py` compares them), except that a message without content, such as
a date without a year, is left out.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from broker.client import Report
from broker.core.wire.outline import with_encoded_leaves
from broker.formats.encoded_report import CACHED, MAX_SHORT, encoded
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

_Convert = Callable[[Any], Any]

_encode = msgspec.json.Encoder().encode
_Answer = with_encoded_leaves(pb.Answer)
_LONG = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})


def report_line(report: Report, extra: Mapping[str, str]) -> bytes:
    """A report as one line of JSON. `extra` becomes its member `input`, if there is anything in it."""
    one = encoded(report)
    members: dict[str, Any] = {}
    if ref := one.ref:
        members["ref"] = ref
    if position := one.position:
        members["position"] = position
    if one.final:
        members["final"] = True
    if one.complete:
        members["complete"] = True
    if answers := one.answers:
        members["answers"] = [_short(data) if len(data) <= MAX_SHORT else _answer(data) for data in answers]
    if warnings := one.warnings:
        members["warnings"] = [_problem(warning.SerializeToString()) for warning in warnings]
    if extra:
        members["input"] = dict(extra)
    return _encode(members) + b"\n"


def _answer(data: bytes) -> Any:
    return _members_of_answer(_Answer.FromString(data))


@lru_cache(maxsize=CACHED)
def _short(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(_encode(_answer(data)))


class _Members:
    """Converts messages of one type to their members: fields that are set. State: none that changes."""

    def __init__(self, described: Any, outline: Any) -> None:
        """`outline` is the same type with encoded leaves; it is what will be converted."""
        self._fields: list[tuple[str, _Convert | None]] = []
        self._oneof = ""
        self._cases: dict[str, _Convert | None] = {}
        for field, own in zip(described.fields, outline.fields, strict=True):
            convert = _converter(field, own)
            if field.containing_oneof is not None:
                self._oneof = field.containing_oneof.name
                self._cases[field.name] = convert
            else:
                self._fields.append((field.name, _repeated(convert) if field.is_repeated else convert))

    def __call__(self, message: Any) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, convert in self._fields:
            if value := getattr(message, name):
                members[name] = value if convert is None else convert(value)
        if self._oneof and (case := message.WhichOneof(self._oneof)):
            convert = self._cases[case]
            value = getattr(message, case)
            members[case] = value if convert is None else convert(value)
        return members


def _converter(field: FieldDescriptor, outline: FieldDescriptor) -> _Convert | None:
    """How one value of a field is converted. None: it stays as it is."""
    if field.message_type is not None:
        inner = outline.message_type
        return _leaf(field.message_type) if inner is None else _Members(field.message_type, inner)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    return str if field.cpp_type in _LONG else None


def _repeated(convert: _Convert | None) -> _Convert:
    return list if convert is None else lambda values: [convert(value) for value in values]


@lru_cache(maxsize=64)  # one for each type of leaf
def _leaf(described: Any) -> Callable[[bytes], msgspec.Raw]:
    """Converts encoded messages that contain no messages."""
    message = GetMessageClass(described)

    value = _json_string if hasattr(message, "ToJsonString") else _Members(described, described)

    @lru_cache(maxsize=CACHED)
    def convert(data: bytes) -> msgspec.Raw:
        return msgspec.Raw(_encode(value(message.FromString(data))))

    return convert


def _json_string(moment: Any) -> str:
    """Of a timestamp."""
    return str(moment.ToJsonString())


_members_of_answer = _Members(pb.Answer.DESCRIPTOR, _Answer.DESCRIPTOR)
_problem = _leaf(inquiry_pb2.Problem.DESCRIPTOR)
