"""The JSON dialect: the messages of institution.proto as JSON over HTTP, with the same names.

Enumeration values have their short names ("FOUND"), timestamps are in RFC 3339, dates are written as 2026-01-31, and
money as currency_code, units and nanos. docs/institutions.md has examples. Unknown members are ignored.
"""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from broker.errors import BadReplyError
from broker.institutions.inquiry import Inquiry, inquiries
from broker.institutions.reply_check import (
    MAX_ASSETS,
    MAX_PER_ASSET,
    ReplyChecker,
    Statement,
    arrange,
    check_request,
    unusable,
)
from broker.institutions.struct_writer import Word, field_writer
from broker.institutions.subject_match import Holder
from broker.model import Kind, Problem, Question, Reply
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

# None of these structs can be part of a reference cycle. `gc=False` spares the garbage collector from visiting the
# thousands of them in a reply.


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
    holders: Annotated[tuple[_Holder, ...], msgspec.Meta(max_length=MAX_PER_ASSET)] = ()
    measures: Annotated[tuple[_Measure, ...], msgspec.Meta(max_length=MAX_PER_ASSET)] = ()
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
    """Decoded one item at a time, and only if needed: see `_assets`."""


class _InquiryBatchReply(msgspec.Struct, gc=False):
    request_id: str
    replies: list[_InquiryReply]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_InquiryBatchReply).decode
_decode_assets = msgspec.json.Decoder(list[_Asset]).decode
_MAX_OBJECTS = 8 * MAX_ASSETS  # an account has seven: asset, details, two amounts, holder, measure and its amount
_ENCODE_TOGETHER = 256 * 1024  # bytes of JSON: the assets of nearly every reply, as a megabyte or two of objects


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
            # msgspec's message has the path and the types, never the value.
            msg = f"the reply is not an InquiryBatchReply: {error}"
            raise BadReplyError(msg) from None
        except (UnicodeDecodeError, RecursionError):  # their text may contain a part of the reply
            msg = "the reply is not JSON: it is not UTF-8, or nested too deeply"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question, replies=len(reply.replies))
        statements = _ReplyReader(ReplyChecker(question, kind=kind, now=now)).read(reply.replies)
        return arrange([element.item for element in reply.replies], statements, question)


def _seconds(moment: str) -> int:
    """Converts a timestamp to seconds since the epoch.

    Raises `ValueError` if it has no time zone, and `BadReplyError` if it is not a timestamp.
    """
    try:
        at = msgspec.convert(moment, datetime)
    except msgspec.ValidationError:
        msg = "the reply is not an InquiryBatchReply: a timestamp is not in RFC 3339"
        raise BadReplyError(msg) from None
    if at.tzinfo is None:
        msg = "a timestamp without a time zone"
        raise ValueError(msg)
    return int(at.timestamp())


# An unknown enumeration value; a text that is not a list of assets; a number out of range.
_UNUSABLE = (KeyError, ValueError, OverflowError)


class _ReplyReader:
    """Reads the statements of one reply, item by item.

    State: the statements so far; the parsed timestamps and the NOT_FOUND statements by timestamp, since nearly all are
    equal; and the assets that wait to be encoded together.
    """

    def __init__(self, checker: ReplyChecker) -> None:
        self._checker = checker
        self._statements: list[Statement] = []
        self._moments: dict[str | None, int | None] = {None: None}
        self._nothing: dict[str | None, Statement] = {}
        self._waiting: list[tuple[int, int | None, list[_Asset]]] = []
        self._waiting_size = 0

    def read(self, replies: Sequence[_InquiryReply]) -> list[Statement]:
        statements, nothing = self._statements, self._nothing
        for element in replies:
            if element.outcome == "NOT_FOUND" and not element.assets and element.problem is None:
                statement = nothing.get(element.observed_at)
                if statement is None:
                    statement = nothing[element.observed_at] = self._read(element)
            else:
                statement = self._read(element)
            statements.append(statement)
        self._write()
        return statements

    def _read(self, element: _InquiryReply) -> Statement:
        try:
            observed_at = self._moment(element.observed_at)
            assets = _assets(element.assets) if element.assets else []
            if element.problem is None and element.outcome == "NOT_FOUND" and not assets:
                return self._checker.not_found(observed_at)
            if element.problem is None and element.outcome == "FOUND":
                objection = self._checker.objection(element.item, assets, _facts)
                if objection is None:
                    self._wait(observed_at, assets, len(element.assets))
                return objection or unusable()  # a placeholder until the assets are encoded
            if assets:
                return unusable()
            given = element.problem or _Problem()
            problem = Problem(given.reason, given.field, given.message)
            return self._checker.refusal(_OUTCOMES[element.outcome], observed_at, problem)
        except _UNUSABLE:
            return unusable()

    def _moment(self, text: str | None) -> int | None:
        if text is not None and text not in self._moments:
            self._moments[text] = _seconds(text)
        return self._moments[text]

    def _wait(self, observed_at: int | None, assets: list[_Asset], size: int) -> None:
        if self._waiting_size + size > _ENCODE_TOGETHER:
            self._write()
        self._waiting.append((len(self._statements), observed_at, assets))
        self._waiting_size += size

    def _write(self) -> None:
        written = _written([assets for _, _, assets in self._waiting])
        for (index, observed_at, _), assets in zip(self._waiting, written, strict=True):
            if assets is not None:
                self._statements[index] = self._checker.found(observed_at, assets)
        self._waiting.clear()
        self._waiting_size = 0


def _written(answers: Sequence[list[_Asset]]) -> Sequence[bytes | None]:
    """The encoded assets of each answer; None if they cannot be encoded."""
    try:
        return _write_assets(answers)
    except _UNUSABLE:
        return [_written([answer])[0] for answer in answers] if len(answers) > 1 else [None]


def _assets(raw: msgspec.Raw) -> list[_Asset]:
    """Decodes the assets of an item. Raises `ValueError`.

    Two bytes of JSON ("{}") become an object of a hundred bytes, and msgspec cannot limit the length of a list before
    it is built. Long texts are therefore checked for the number of objects first.
    """
    if len(raw) > 2 * _MAX_OBJECTS and bytes(raw).count(b"{") > _MAX_OBJECTS:
        msg = "too many objects for a list of assets"
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
