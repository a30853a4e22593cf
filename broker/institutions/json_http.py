"""The JSON dialect: the content of institution.proto as JSON over HTTP, under the same names.

Enumerations by their short names ("FOUND"), timestamps in RFC 3339, dates as 2026-01-31, money as currency_code, units
and nanos. docs/institutions.md shows both directions. Members this broker does not know are ignored.
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any

import msgspec

from broker.errors import BadReplyError
from broker.institutions.statement import (
    MOST_ASSETS,
    MOST_PER_ASSET,
    PROPERTY_NUMBERS,
    AssetFacts,
    Reader,
    Statement,
    arrange,
    check_request,
    garbled,
)
from broker.institutions.struct_writer import Word, field_writer
from broker.model import Kind, Problem, Question, Reply, SubjectType
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

# None of these can be part of a cycle, so the garbage collector need not look at the thousands a reply is made of.


class _Mandate(msgspec.Struct, gc=False):
    court_code: str
    officer: str
    case_number: str
    legal_document: str


class _Inquiry(msgspec.Struct, gc=False):
    item: int
    mandate: int
    subject_type: str
    number: str
    name: str


class _InquiryBatch(msgspec.Struct, gc=False):
    request_id: str
    institution_id: str
    attempt: int
    mandates: list[_Mandate]
    inquiries: list[_Inquiry]


class _Money(msgspec.Struct, gc=False):
    units: int
    currency_code: Word = Word("CNY")
    nanos: int = 0


class _Holder(msgspec.Struct, gc=False):
    document_number: str
    name: str = ""
    document_type: str = "UNSPECIFIED"
    share: str = ""


class _Measure(msgspec.Struct, gc=False):
    type: str
    authority: Word = Word("")
    document_number: str = ""
    amount: _Money | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    rank: int = 0


class _Account(msgspec.Struct, gc=False):
    account_number: str
    category: Word = Word("")
    status: str = "UNSPECIFIED"
    branch: Word = Word("")
    opened_on: date | None = None
    balance: _Money | None = None
    available_balance: _Money | None = None


class _Vehicle(msgspec.Struct, gc=False):
    plate: str = ""
    vin: str = ""
    model: Word = Word("")
    registered_on: date | None = None
    inspection_valid_until: date | None = None
    mortgaged: bool = False


class _Holding(msgspec.Struct, gc=False):
    account_number: str
    security_code: Word = Word("")
    security_name: Word = Word("")
    quantity: int = 0
    frozen_quantity: int = 0
    custodian: Word = Word("")
    market_value: _Money | None = None


class _RealEstateUnit(msgspec.Struct, gc=False):
    unit_number: str
    certificate_number: str = ""
    location: str = ""
    usage: Word = Word("")
    right_type: Word = Word("")
    area_square_metres: str | None = None
    registered_on: date | None = None
    term_ends_on: date | None = None


class _Asset(msgspec.Struct, gc=False):
    holders: Annotated[tuple[_Holder, ...], msgspec.Meta(max_length=MOST_PER_ASSET)] = ()
    measures: Annotated[tuple[_Measure, ...], msgspec.Meta(max_length=MOST_PER_ASSET)] = ()
    account: _Account | None = None
    vehicle: _Vehicle | None = None
    holding: _Holding | None = None
    real_estate_unit: _RealEstateUnit | None = None


class _Problem(msgspec.Struct, gc=False):
    reason: str = ""
    field: str = ""
    message: str = ""


class _InquiryReply(msgspec.Struct, gc=False):
    item: int
    outcome: str
    observed_at: datetime | None = None
    problem: _Problem | None = None
    assets: msgspec.Raw = msgspec.Raw()
    """Read one item at a time, and only if they can be used: see `_assets`."""


class _InquiryBatchReply(msgspec.Struct, gc=False):
    request_id: str
    replies: list[_InquiryReply]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_InquiryBatchReply).decode
_decode_assets = msgspec.json.Decoder(list[_Asset]).decode
_MOST_OBJECTS = 8 * MOST_ASSETS  # an account is seven: asset, details, two sums, holder, measure and its sum
_SUBJECT_TYPES = {int(subject_type): subject_type.name for subject_type in SubjectType}


class JsonDialect:
    """Questions and replies in JSON."""

    content_type = "application/json"

    def encode(self, question: Question) -> bytes:
        """See `Dialect`."""
        return _encode(
            _InquiryBatch(
                request_id=question.request_id,
                institution_id=question.institution_id,
                attempt=question.attempt,
                mandates=[
                    _Mandate(mandate.court.code, mandate.officer, mandate.case_number, mandate.legal_document)
                    for mandate in question.mandates
                ],
                inquiries=[
                    _Inquiry(item, mandate, _SUBJECT_TYPES[subject_type], number, name)
                    for item, (mandate, (subject_type, number, name)) in enumerate(
                        zip(question.mandate_of, question.subjects, strict=True)
                    )
                ],
            )
        )

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """See `Dialect`."""
        try:
            reply = _decode(body)
        except msgspec.DecodeError as error:
            # msgspec names the place and the types, never the value.
            msg = f"the reply is not an InquiryBatchReply: {error}"
            raise BadReplyError(msg) from None
        except (UnicodeDecodeError, RecursionError):  # whose text may hold a piece of the reply
            msg = "the reply is not JSON: it is no UTF-8, or nested too deeply"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question, replies=len(reply.replies))
        reader = Reader(question, kind=kind, now=now)
        clock = _Clock(now)
        return arrange([_statement(said, reader, clock) for said in reply.replies], question)


class _Clock:
    """Seconds since the epoch of timestamps, most of which are the same within a reply."""

    def __init__(self, now: int) -> None:
        self._last: tuple[datetime | None, int] = (None, now)
        self._now = now

    def seconds(self, at: datetime | None) -> int:
        if at is None:
            return self._now
        if self._last[0] != at:
            if at.tzinfo is None:
                msg = "a timestamp without a time zone"
                raise ValueError(msg)
            self._last = (at, int(at.timestamp()))
        return self._last[1]


def _statement(said: _InquiryReply, reader: Reader, clock: _Clock) -> Statement:
    try:
        observed_at = clock.seconds(said.observed_at)
        assets = _assets(said.assets) if said.assets else ()
        if said.problem is None and said.outcome == "NOT_FOUND" and not assets:
            return reader.not_found(said.item, observed_at)
        if said.problem is None and said.outcome == "FOUND":
            return reader.found(said.item, observed_at, assets=map(_facts, assets), encode=partial(_write, assets))
        if assets:
            return garbled(said.item)
        given = said.problem or _Problem()
        problem = Problem(given.reason, given.field, given.message)
        return reader.refusal(said.item, _OUTCOMES[said.outcome], observed_at, problem)
    except (KeyError, ValueError, OverflowError):  # no assets, a word that is none of ours, a number out of range
        return garbled(said.item)


def _assets(raw: msgspec.Raw) -> list[_Asset]:
    """An item's assets. Raises `ValueError` if they are none.

    Two bytes ("{}") make an object of a hundred, and msgspec knows a list's length only once it is built: so objects
    are counted first, where there is room for too many of them.
    """
    if len(raw) > 2 * _MOST_OBJECTS and bytes(raw).count(b"{") > _MOST_OBJECTS:
        msg = "more objects than assets can be made of"
        raise ValueError(msg)
    return _decode_assets(raw)


def _write(assets: Sequence[_Asset]) -> bytes:
    return b"".join(map(_write_asset, assets))


def _facts(asset: _Asset) -> AssetFacts:
    given = [(name, value) for name in PROPERTY_NUMBERS if (value := getattr(asset, name)) is not None]
    if len(given) != 1:
        return AssetFacts(None, (), ())
    name, value = given[0]
    return AssetFacts(
        details=name,
        holders=[
            (_DOCUMENT_TYPES[holder.document_type], holder.document_number, holder.name) for holder in asset.holders
        ],
        properties=[getattr(value, number) for number in PROPERTY_NUMBERS[name]],
    )


_OUTCOMES = {name.removeprefix("OUTCOME_"): number for name, number in inquiry_pb2.Outcome.items()}
_DOCUMENT_TYPES = {name.removeprefix("DOCUMENT_TYPE_"): number for name, number in asset_pb2.DocumentType.items()}
_ASSETS: Any = institution_pb2.InquiryReply.DESCRIPTOR.fields_by_name["assets"]
_write_asset = field_writer(_ASSETS, _Asset)
