"""The protobuf dialect (proto/broker/v1/institution.proto): decodes requests, and splices replies.

Splicing writes the wire format directly: a field consists of its tag, its length unless it is a varint, and its bytes.
Tags are given in hexadecimal, as field << 3 | wire type.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message

from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2
from mock_institutions.dialect import (
    ITEMS_PREPARED,
    Batch,
    Dialect,
    EmptyElements,
    Inquiries,
    MalformedError,
    Spliced,
    by_row,
    templates_for,
)
from mock_institutions.findings import Holder, Holdings, Refusal
from mock_institutions.protobuf_columns import head_size, read_residents
from mock_institutions.records import (
    OUTCOMES,
    SUBJECT_TYPES,
    Asset,
    Mandate,
    Outcome,
    Problem,
    SubjectType,
)
from mock_institutions.registry import Registry


def decode(body: bytes) -> Batch:
    """Decodes a request. Raises MalformedError."""
    start = head_size(body)
    residents = None if start is None else read_residents(body, start)
    if residents is None:
        batch = _parsed(body)
        mandate_of, inquiries = _columns(batch)
    else:
        batch = _parsed(body[:start])
        mandate_of = residents.mandates
        inquiries = Inquiries(
            residents.items, ["RESIDENT_ID"] * len(residents.items), residents.numbers, residents.names
        )
    mandates = [_mandate(mandate) for mandate in batch.mandates]
    return Batch(batch.request_id, batch.institution_id, batch.attempt, mandates, mandate_of, inquiries)


def _parsed(body: bytes) -> institution_pb2.InquiryBatch:
    try:
        return institution_pb2.InquiryBatch.FromString(body)
    except DecodeError as error:
        raise MalformedError("not an InquiryBatch") from error


def _columns(batch: institution_pb2.InquiryBatch) -> tuple[Sequence[int], Inquiries]:
    """The mandate index of each inquiry, and its other fields as columns."""
    # In one pass, because every iteration over a repeated field creates Python objects for its elements.
    try:
        rows = [
            (inquiry.mandate, inquiry.item, _SUBJECT_TYPES[inquiry.subject_type], inquiry.number, inquiry.name)
            for inquiry in batch.inquiries
        ]
    except KeyError as error:
        raise MalformedError("an inquiry has an unknown subject_type") from error
    mandate_of, *columns = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return mandate_of, Inquiries(*columns)


_SUBJECT_TYPES: dict[int, SubjectType] = dict(enumerate(SUBJECT_TYPES, 1))


def _mandate(mandate: inquiry_pb2.Mandate) -> Mandate:
    return Mandate(
        court_code=mandate.court_code,
        officer=mandate.officer,
        case_number=mandate.case_number,
        legal_document=mandate.legal_document,
    )


# --- conversion of records to messages -------------------------------------------------------------------------------


def fill(message: Message, record: Any) -> None:  # any record, and the message with the same name
    """Copies a record to an empty message with the same field names."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        field = message.DESCRIPTOR.fields_by_name[name]
        if value is None or value in ("", ()):
            continue
        if field.enum_type is not None:
            setattr(message, name, _number_of(field.enum_type, value))
        elif isinstance(value, tuple):
            for element in value:
                fill(getattr(message, name).add(), element)
        elif isinstance(value, msgspec.Struct):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif field.message_type is not None:
            _fill_well_known(getattr(message, name), value)
        else:
            setattr(message, name, value)


def _fill_well_known(message: Any, value: date | str) -> None:  # Date, Timestamp or Decimal
    match message.DESCRIPTOR.full_name, value:
        case "google.type.Date", date():
            message.year, message.month, message.day = value.year, value.month, value.day
        case "google.protobuf.Timestamp", str():
            message.FromJsonString(value)
        case _:
            message.value = value


def _number_of(enum: Any, name: str) -> int:  # a descriptor, which has no public type
    """The number of an enumeration value by its short name, such as FOUND for OUTCOME_FOUND."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    number: int = enum.values_by_name[prefix + name].number
    return number


# --- splicing --------------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_VARINTS = tuple(_varint(value) for value in range(max(ITEMS_PREPARED, 4096)))


def _length(value: int) -> bytes:
    return _VARINTS[value] if value < len(_VARINTS) else _varint(value)


def _field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _length(len(content)) + content


class ProtobufSplicer:
    """Encodes the replies of one institution."""

    def __init__(self, registry: Registry) -> None:
        self._find_all = registry.find_all
        self._templates = templates_for(registry, _details)

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, spliced from bytes."""
        items = inquiries.items
        findings = self._find_all(inquiries.subject_types, inquiries.numbers, inquiries.names)
        replies = _EMPTY_ELEMENTS.of(items, observed_at)
        found = _outcome("FOUND") + _stamp(observed_at)
        for row, assets in by_row(findings.holdings, self._assets(findings.holdings), b"").items():
            replies[row] = _reply(items[row], found + assets)
        for row, refusal in findings.refusals.items():
            replies[row] = _reply(items[row], _outcome(refusal.outcome) + _stamp(observed_at) + _problem(refusal))
        return Spliced(_field(0x0A, request_id.encode()) + b"".join(replies), findings)  # request_id = 1

    def answers(
        self, subject_types: Sequence[SubjectType], numbers: Sequence[str], names: Sequence[str]
    ) -> list[bytes]:
        """The correct answer about each subject: an encoded Answer with only outcome, problem and assets."""
        findings = self._find_all(subject_types, numbers, names)
        answers = [_outcome("NOT_FOUND")] * len(numbers)
        for row, assets in by_row(findings.holdings, self._assets(findings.holdings), b"").items():
            answers[row] = _outcome("FOUND") + assets
        for row, refusal in findings.refusals.items():
            answers[row] = _outcome(refusal.outcome) + _problem(refusal)
        return answers

    def _assets(self, holdings: Holdings) -> Iterator[bytes]:
        details = self._templates.fill(holdings.variants, holdings.numbers)
        for held_by, detail in zip(_held_by(holdings), details, strict=True):
            yield b"".join((b"\x2a", _length(len(held_by) + len(detail)), held_by, detail))  # assets = 5


def _reply(item: int, rest: bytes) -> bytes:
    number = _length(item)
    return b"".join((b"\x12", _length(1 + len(number) + len(rest)), b"\x08", number, rest))  # replies = 2, item = 1


@lru_cache(maxsize=4)
def _stamp(observed_at: int) -> bytes:
    return _field(0x1A, b"\x08" + _varint(observed_at))  # observed_at = 3, seconds = 1


def _not_found(item: int, observed_at: int) -> bytes:
    return _reply(item, _outcome("NOT_FOUND") + _stamp(observed_at))


_EMPTY_ELEMENTS = EmptyElements(_not_found)

# document_type = 2, then the tag of document_number = 3 and its length, which is 18 for both types.
_DOCUMENT_TYPES = {"RESIDENT_ID": b"\x10\x01\x1a\x12", "ORGANIZATION_CODE": b"\x10\x06\x1a\x12"}
_HALF = b"\x22\x031/2"  # share = 4
# The bytes before the name, by its length: holders = 1, and in it name = 1. After the name, a holder has 22 bytes, and
# its share if there is one.
_SOLE = tuple(b"\x0a" + _varint(2 + length + 22) + b"\x0a" + _varint(length) for length in range(100))
_SHARED = tuple(b"\x0a" + _varint(2 + length + 22 + len(_HALF)) + opening[2:] for length, opening in enumerate(_SOLE))


def _held_by(holdings: Holdings) -> list[bytes]:
    """The encoded holders of each thing."""
    numbers, names = map(str.encode, holdings.document_numbers), map(str.encode, holdings.names)
    held = [
        b"".join((_SOLE[len(name)], name, _DOCUMENT_TYPES[document_type], number))
        for document_type, number, name in zip(holdings.document_types, numbers, names, strict=True)
    ]
    for index, other in holdings.others.items():
        first = holdings.document_types[index], holdings.document_numbers[index], holdings.names[index]
        held[index] = _half(first) + _half(other)
    return held


def _half(holder: Holder) -> bytes:
    document_type, number, name = holder
    encoded = name.encode()
    return b"".join((_SHARED[len(encoded)], encoded, _DOCUMENT_TYPES[document_type], number.encode(), _HALF))


def _details(asset: Asset) -> bytes:
    message = asset_pb2.Asset()
    fill(message, asset)
    return message.SerializeToString()


def _outcome(outcome: Outcome) -> bytes:
    return bytes((0x10, OUTCOMES.index(outcome) + 1))  # outcome = 2


def _problem(refusal: Refusal) -> bytes:
    _, reason, field, message = refusal
    problem = inquiry_pb2.Problem()
    fill(problem, Problem(reason=reason, field=field, message=message))
    return _field(0x22, problem.SerializeToString())  # problem = 4


PROTOBUF = Dialect("application/x-protobuf", decode, ProtobufSplicer)
