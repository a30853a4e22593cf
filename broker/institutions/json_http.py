"""The JSON dialect: the content of institution.proto as JSON over HTTP, under the same names.

Enumerations by their short names ("FOUND"), timestamps in RFC 3339, dates as 2026-01-31, money as currency_code, units
and nanos. docs/institutions.md shows both directions. Members this broker does not know are ignored.
"""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from broker.errors import BadReplyError
from broker.institutions.inquiry import Inquiry, inquiries
from broker.institutions.reply_check import (
    MOST_ASSETS,
    MOST_PER_ASSET,
    Holder,
    Reader,
    Statement,
    arrange,
    check_request,
    garbled,
)
from broker.institutions.struct_writer import Word, field_writer
from broker.model import Kind, Problem, Question, Reply
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

# None of these can be part of a cycle, so the garbage collector need not look at the thousands a reply is made of.


class _Mandate(msgspec.Struct, gc=False):
    court_code: str
    officer: str
    case_number: str
    legal_document: str


class _InquiryBatch(msgspec.Struct, gc=False):
    request_id: str
    institution_id: str
    attempt: int
    mandates: list[_Mandate]
    inquiries: list[Inquiry]


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
    observed_at: str | None = None
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
_WRITTEN_TOGETHER = 256 * 1024  # bytes of JSON: nearly every reply's assets at once, and a megabyte or two of objects


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
                inquiries=inquiries(question),
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
        statements = _ReplyReader(Reader(question, kind=kind, now=now)).read(reply.replies)
        return arrange([said.item for said in reply.replies], statements, question)


def _seconds(moment: str) -> int:
    """A timestamp in seconds since the epoch.

    Raises `ValueError` if it has no time zone, and `BadReplyError` if it is none at all.
    """
    try:
        at = msgspec.convert(moment, datetime)
    except msgspec.ValidationError:
        msg = "the reply is not an InquiryBatchReply: a moment that is not in RFC 3339"
        raise BadReplyError(msg) from None
    if at.tzinfo is None:
        msg = "a timestamp without a time zone"
        raise ValueError(msg)
    return int(at.timestamp())


_UNUSABLE = (KeyError, ValueError, OverflowError)  # no assets, a word that is none of ours, a number out of range


class _ReplyReader:
    """The statements of one reply, added item by item.

    State: those made so far; moments, and NOT_FOUND by its moment, since nearly all are the same; and the assets that
    wait to be written together.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._statements: list[Statement] = []
        self._moments: dict[str | None, int | None] = {None: None}
        self._nothing: dict[str | None, Statement] = {}
        self._waiting: list[tuple[int, int | None, list[_Asset]]] = []
        self._waiting_size = 0

    def read(self, replies: Sequence[_InquiryReply]) -> list[Statement]:
        statements, nothing = self._statements, self._nothing
        for said in replies:
            if said.outcome == "NOT_FOUND" and not said.assets and said.problem is None:
                statement = nothing.get(said.observed_at)
                if statement is None:
                    statement = nothing[said.observed_at] = self._read(said)
            else:
                statement = self._read(said)
            statements.append(statement)
        self._write()
        return statements

    def _read(self, said: _InquiryReply) -> Statement:
        try:
            observed_at = self._moment(said.observed_at)
            assets = _assets(said.assets) if said.assets else []
            if said.problem is None and said.outcome == "NOT_FOUND" and not assets:
                return self._reader.not_found(observed_at)
            if said.problem is None and said.outcome == "FOUND":
                if self._reader.concern(said.item, assets, _facts):
                    self._wait(observed_at, assets, len(said.assets))
                return garbled()  # until they are written
            if assets:
                return garbled()
            given = said.problem or _Problem()
            problem = Problem(given.reason, given.field, given.message)
            return self._reader.refusal(_OUTCOMES[said.outcome], observed_at, problem)
        except _UNUSABLE:
            return garbled()

    def _moment(self, text: str | None) -> int | None:
        if text is not None and text not in self._moments:
            self._moments[text] = _seconds(text)
        return self._moments[text]

    def _wait(self, observed_at: int | None, assets: list[_Asset], size: int) -> None:
        if self._waiting_size + size > _WRITTEN_TOGETHER:
            self._write()
        self._waiting.append((len(self._statements), observed_at, assets))
        self._waiting_size += size

    def _write(self) -> None:
        written = _written([assets for _, _, assets in self._waiting])
        for (place, observed_at, _), assets in zip(self._waiting, written, strict=True):
            if assets is not None:
                self._statements[place] = self._reader.found(observed_at, assets)
        self._waiting.clear()
        self._waiting_size = 0


def _written(answers: Sequence[list[_Asset]]) -> Sequence[bytes | None]:
    """Each answer's assets, encoded; None where that cannot be."""
    try:
        return _write_assets(answers)
    except _UNUSABLE:
        return [_written([answer])[0] for answer in answers] if len(answers) > 1 else [None]


def _assets(raw: msgspec.Raw) -> list[_Asset]:
    """An item's assets. Raises `ValueError` if they are none.

    Two bytes ("{}") make an object of a hundred, and msgspec knows a list's length only once it is built: so objects
    are counted first, where there is room for too many of them.
    """
    if len(raw) > 2 * _MOST_OBJECTS and bytes(raw).count(b"{") > _MOST_OBJECTS:
        msg = "more objects than assets can be made of"
        raise ValueError(msg)
    return _decode_assets(raw)


_DETAILS: dict[type[msgspec.Struct], str] = {
    _Account: "account",
    _Vehicle: "vehicle",
    _Holding: "holding",
    _RealEstateUnit: "real_estate_unit",
}
_details = attrgetter(*_DETAILS.values())


def _facts(asset: _Asset) -> tuple[str | None, list[Holder]]:
    given = [details for details in _details(asset) if details is not None]
    if len(given) != 1:
        return None, []
    holders = [(_DOCUMENT_TYPES[one.document_type], one.document_number, one.name) for one in asset.holders]
    return _DETAILS[type(given[0])], holders


_OUTCOMES = {name.removeprefix("OUTCOME_"): number for name, number in inquiry_pb2.Outcome.items()}
_DOCUMENT_TYPES = {name.removeprefix("DOCUMENT_TYPE_"): number for name, number in asset_pb2.DocumentType.items()}
_ASSETS: Any = institution_pb2.InquiryReply.DESCRIPTOR.fields_by_name["assets"]
_write_assets = field_writer(_ASSETS, list[_Asset])
