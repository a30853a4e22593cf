"""The broker's responses, parsed no further than a benchmark needs: whole ones cost a client more than asking does."""

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from broker.core.wire import varint
from broker.v1 import investigation_pb2 as pb

_kinds = descriptor_pb2.FieldDescriptorProto
_SUMMARY = b"\x12"  # InvestigateResponse.summary = 2, length-delimited


def _parser(name: str, *, reports: bool) -> Callable[[bytes], Any]:
    """For `InvestigateResponse` with its summary in bytes, and of its reports only position and final, or nothing."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    response = file.message_type.add(name="Response")
    response.field.add(name="summary", number=2, type=_kinds.TYPE_BYTES, label=_kinds.LABEL_OPTIONAL)
    if reports:
        report = file.message_type.add(name="Report")
        report.field.add(name="position", number=2, type=_kinds.TYPE_UINT32, label=_kinds.LABEL_OPTIONAL)
        report.field.add(name="final", number=3, type=_kinds.TYPE_BOOL, label=_kinds.LABEL_OPTIONAL)
        response.field.add(
            name="reports",
            number=1,
            type=_kinds.TYPE_MESSAGE,
            label=_kinds.LABEL_REPEATED,
            type_name=f".{name}.Report",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    parse: Callable[[bytes], Any] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{name}.Response")
    ).FromString
    return parse


outline = _parser("outline", reports=True)
"""A message's reports, with `position` and `final`, and its `summary` in bytes: a third of a whole parse."""

_ending = _parser("ending", reports=False)


def part(last: bytes) -> tuple[bytes, pb.Summary]:
    """The last message of a stream: its reports, as a message of their own, and its summary.

    Raises `ValueError` if the summary is not at its end, where the broker puts it.
    """
    summary = _ending(last).summary
    field = _SUMMARY + varint(len(summary)) + summary
    if not last.endswith(field):
        msg = "the last message does not end with the summary"
        raise ValueError(msg)
    return last[: -len(field)], pb.Summary.FromString(summary)
