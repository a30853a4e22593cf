"""The protobuf dialect (proto/broker/v1/institution.proto).

The spliced way writes the wire format by hand: a field is its tag, then for anything but a number its length, then its
bytes. Tags below are given in hexadecimal as (field << 3 | wire type).
"""

from datetime import date
from typing import Any

import msgspec
from google.protobuf.message import DecodeError, Message

from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2
from mock_institutions.dialect import (
    ITEMS_PREPARED,
    Batch,
    Dialect,
    Inquiries,
    MalformedError,
    Spliced,
    templates_for,
)
from mock_institutions.records import (
    OUTCOMES,
    SUBJECT_TYPES,
    Asset,
    Mandate,
    Outcome,
    Problem,
    SubjectType,
)
from mock_institutions.registry import REFUSALS, Holding, Refusal, Registry


def decode(body: bytes) -> Batch:
    """A request."""
    try:
        batch = institution_pb2.InquiryBatch.FromString(body)
    except DecodeError as error:
        raise MalformedError("not an InquiryBatch") from error
    try:
        return _columns(batch)
    except KeyError as error:
        raise MalformedError("an inquiry has no known subject_type") from error


def _columns(batch: institution_pb2.InquiryBatch) -> Batch:
    # In one pass: every step over a repeated field makes a Python object for the element.
    rows = [
        (inquiry.mandate, inquiry.item, _SUBJECT_TYPES[inquiry.subject_type], inquiry.number, inquiry.name)
        for inquiry in batch.inquiries
    ]
    mandate_of, *columns = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    mandates = [_mandate(mandate) for mandate in batch.mandates]
    return Batch(batch.request_id, batch.institution_id, batch.attempt, mandates, mandate_of, Inquiries(*columns))


_SUBJECT_TYPES: dict[int, SubjectType] = dict(enumerate(SUBJECT_TYPES, 1))


def _mandate(mandate: inquiry_pb2.Mandate) -> Mandate:
    return Mandate(
        court_code=mandate.court_code,
        officer=mandate.officer,
        case_number=mandate.case_number,
        legal_document=mandate.legal_document,
    )


# --- the plain way ----------------------------------------------------------------------------------------------------


def fill(message: Message, record: Any) -> None:  # any record, and the message of the same name
    """Copy a record into the empty message of the same field names."""
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
    """The number of a value by its short name, such as FOUND for OUTCOME_FOUND."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    number: int = enum.values_by_name[prefix + name].number
    return number


# --- the spliced way --------------------------------------------------------------------------------------------------


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
    """Writes the replies of one institution."""

    def __init__(self, registry: Registry) -> None:
        self._find_all = registry.find_all
        self._templates = templates_for(registry, _details)

    def reply(self, request_id: str, inquiries: Inquiries, observed_at: int) -> Spliced:
        """The reply to `inquiries`, the spliced way."""
        stamp = _field(0x1A, b"\x08" + _varint(observed_at))  # observed_at = 3, seconds = 1
        not_found = _outcome("NOT_FOUND") + stamp
        found = _outcome("FOUND") + stamp
        refusals = {refusal: _refusal(refusal, stamp) for refusal in REFUSALS}
        asset = self._asset
        refused: list[int] = []
        parts = [_field(0x0A, request_id.encode())]  # request_id = 1
        findings = self._find_all(inquiries.subject_types, inquiries.numbers, inquiries.names)
        for row, (item_number, finding) in enumerate(zip(inquiries.items, findings, strict=True)):
            item = _length(item_number)
            if not finding:
                rest = not_found
            elif isinstance(finding, Refusal):
                rest = refusals[finding]
                refused.append(row)
            else:
                rest = found + b"".join(map(asset, finding))
            # replies = 2, of which item = 1
            parts += (b"\x12", _length(1 + len(item) + len(rest)), b"\x08", item, rest)
        return Spliced(b"".join(parts), refused)

    def _asset(self, holding: Holding) -> bytes:
        numbers, variant, holders = holding
        held_by = b"".join(map(_shared_holder if len(holders) == 2 else _sole_holder, holders))
        details = self._templates[variant] % numbers
        return b"".join((b"\x2a", _length(len(held_by) + len(details)), held_by, details))  # assets = 5


_DOCUMENT_TYPES = {"RESIDENT_ID": b"\x10\x01\x1a", "ORGANIZATION_CODE": b"\x10\x06\x1a"}
"""document_type = 2 and the tag of document_number = 3."""


def _sole_holder(holder: tuple[str, str, str]) -> bytes:
    document_type, number, name = holder
    name_bytes, number_bytes = name.encode(), number.encode()
    content = b"".join(
        (
            b"\x0a",  # name = 1
            _VARINTS[len(name_bytes)],
            name_bytes,
            _DOCUMENT_TYPES[document_type],
            _VARINTS[len(number_bytes)],
            number_bytes,
        )
    )
    return b"".join((b"\x0a", _VARINTS[len(content)], content))  # holders = 1


def _shared_holder(holder: tuple[str, str, str]) -> bytes:
    sole = _sole_holder(holder)
    return _field(0x0A, sole[2:] + b"\x22\x031/2")  # share = 4; a person's holder is shorter than 128 bytes


def _details(asset: Asset) -> bytes:
    message = asset_pb2.Asset()
    fill(message, asset)
    return message.SerializeToString()


def _outcome(outcome: Outcome) -> bytes:
    return bytes((0x10, OUTCOMES.index(outcome) + 1))  # outcome = 2


def _refusal(refusal: Refusal, stamp: bytes) -> bytes:
    outcome, reason, field, message = refusal
    problem = inquiry_pb2.Problem()
    fill(problem, Problem(reason=reason, field=field, message=message))
    return _outcome(outcome) + stamp + _field(0x22, problem.SerializeToString())  # problem = 4


PROTOBUF = Dialect("application/x-protobuf", decode, ProtobufSplicer)
