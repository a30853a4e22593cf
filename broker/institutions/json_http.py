"""The JSON dialect: the messages of institution.proto as JSON over HTTP, with the same names.

Enumeration values have their short names ("FOUND"), timestamps are in RFC 3339, dates are written as 2026-01-31, and
money as currency_code, units and nanos. docs/institutions.md has examples. Unknown members are ignored, and null means
absent.
"""

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from broker.institutions import rfc3339
from broker.institutions.content_rules import has_c1_controls
from broker.institutions.inquiry import Inquiry, inquiries
from broker.institutions.json_elements import Element, read_elements
from broker.institutions.json_structs import (
    JsonAccount,
    JsonAsset,
    JsonHolding,
    JsonProblem,
    JsonRealEstateUnit,
    JsonVehicle,
)
from broker.institutions.member_names import CloseReading, KnownShapes
from broker.institutions.reply_check import MAX_ASSETS, ReplyChecker, Statement, arrange, unusable
from broker.institutions.struct_writer import field_writer
from broker.institutions.subject_match import Holder
from broker.model import Kind, Problem, Question, Reply
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

T = TypeVar("T")


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


_encode = msgspec.json.Encoder().encode
_decode_assets = msgspec.json.Decoder(list[JsonAsset]).decode
_control_escape = re.compile(rb"\\(?:[bfnrt]|u(?:00(?:[01]|7[fF]|[89])|[dD][89a-fA-F]))").search
_MAX_OBJECTS = 8 * MAX_ASSETS  # an account has seven: asset, details, two amounts, holder, measure and its amount
_ENCODE_TOGETHER = 256 * 1024  # bytes of JSON: the assets of nearly every reply, as a megabyte or two of objects


class JsonDialect:
    """Questions and replies in JSON. State: the shapes of replies that are known (`member_names`)."""

    content_type = "application/json"

    def __init__(self) -> None:
        self._shapes = KnownShapes()

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
        close = CloseReading()
        elements = read_elements(body, question, self._shapes, close)
        checker = ReplyChecker(question, kind=kind, now=now)
        statements = _ReplyReader(checker, close, check_texts=_may_have_controls(body)).read(elements)
        return arrange([element.item for element in elements], statements, question)


# An unknown enumeration value; a text that is not a list of assets; a number out of range.
_UNUSABLE = (KeyError, ValueError, OverflowError, RecursionError)


class _ReplyReader:
    """Reads the statements of one reply, item by item.

    State: the statements so far; the parsed timestamps and the NOT_FOUND statements by timestamp, since nearly all are
    equal; and the assets that wait to be encoded together.
    """

    def __init__(self, checker: ReplyChecker, close: CloseReading, *, check_texts: bool) -> None:
        self._checker = checker
        self._close = close
        self._check_texts = check_texts
        self._statements: list[Statement] = []
        self._moments: dict[str | None, int | None] = {None: None}
        self._nothing: dict[str | None, Statement] = {}
        self._waiting: list[tuple[int, int | None, Sequence[JsonAsset]]] = []
        self._waiting_size = 0

    def read(self, replies: Sequence[Element]) -> list[Statement]:
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

    def _read(self, element: Element) -> Statement:
        try:
            observed_at = self._moment(element.observed_at)
            assets = self._assets(element.assets) if element.assets else []
            if element.problem is None and element.outcome == "NOT_FOUND" and not assets:
                return self._checker.not_found(observed_at)
            if element.problem is None and element.outcome == "FOUND":
                objection = self._checker.objection(element.item, assets, _facts)
                if objection is None:
                    self._wait(observed_at, assets, len(element.assets))
                return objection or unusable()  # a placeholder until the assets are encoded
            if assets:
                return unusable()
            given = self._checked(element.problem) or JsonProblem()
            problem = Problem(given.reason or "", given.field or "", given.message or "")
            return self._checker.refusal(_OUTCOMES[element.outcome], observed_at, problem)
        except _UNUSABLE:
            return unusable()

    def _moment(self, text: str | None) -> int | None:
        if text is not None and text not in self._moments:
            self._moments[text] = rfc3339.seconds(text)
        return self._moments[text]

    def _assets(self, raw: msgspec.Raw | tuple[JsonAsset, ...]) -> Sequence[JsonAsset]:
        """Decodes the assets of an item, unless the whole reply was decoded. Raises one of `_UNUSABLE`.

        Two bytes of JSON ("{}") become an object of a hundred bytes, and msgspec cannot limit the length of a list
        before it is built. Long texts are therefore checked for the number of objects first.
        """
        if isinstance(raw, tuple):
            return self._checked(raw)
        if len(raw) > 2 * _MAX_OBJECTS and bytes(raw).count(b"{") > _MAX_OBJECTS:
            msg = "too many objects for a list of assets"
            raise ValueError(msg)
        try:
            assets = _decode_assets(raw)
        except msgspec.ValidationError:
            text = bytes(raw)
            assets = _decode_assets(self._close.read(text)) if text != b"null" else []  # or members of it are null
        return self._checked(assets)

    def _checked(self, texts: T) -> T:
        """Raises `ValueError` if the texts in these structs contain a control character."""
        if self._check_texts and texts and _has_controls(_encode(texts)):
            msg = "a control character in a text"
            raise ValueError(msg)
        return texts

    def _wait(self, observed_at: int | None, assets: Sequence[JsonAsset], size: int) -> None:
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


def _written(answers: Sequence[Sequence[JsonAsset]]) -> Sequence[bytes | None]:
    """The encoded assets of each answer; None if they cannot be encoded."""
    try:
        return _write_assets(answers)
    except _UNUSABLE:
        return [_written([answer])[0] for answer in answers] if len(answers) > 1 else [None]


def _may_have_controls(body: bytes) -> bool:
    """Whether a text may contain a control character. JSON requires those up to U+001F to be escaped.

    Halves of surrogate pairs may have become one (`json_elements`).
    """
    return (
        b"\x7f" in body
        or has_c1_controls(body)
        or (b"\\" in body and _control_escape(body) is not None)  # the first test is by far the faster one
    )


def _has_controls(encoded: bytes) -> bool:
    """Whether a text contains one, in what `_encode` wrote: it escapes only quotation marks, backslashes and these."""
    return _control_escape(encoded.replace(b"\\\\", b"")) is not None or b"\x7f" in encoded or has_c1_controls(encoded)


_DETAILS: dict[type[msgspec.Struct], str] = {
    JsonAccount: "account",
    JsonVehicle: "vehicle",
    JsonHolding: "holding",
    JsonRealEstateUnit: "real_estate_unit",
}
_details = attrgetter(*_DETAILS.values())


def _facts(asset: JsonAsset) -> tuple[str | None, list[Holder]]:
    given = [*filter(None, _details(asset))]
    if len(given) != 1:
        return None, []
    holders = [(_DOCUMENT_TYPES[one.document_type], one.document_number, one.name) for one in asset.holders]
    return _DETAILS[type(given[0])], holders


_OUTCOMES = {name.removeprefix("OUTCOME_"): number for name, number in inquiry_pb2.Outcome.items()}
_DOCUMENT_TYPES = {name.removeprefix("DOCUMENT_TYPE_"): number for name, number in asset_pb2.DocumentType.items()}
_ASSETS: Any = institution_pb2.InquiryReply.DESCRIPTOR.fields_by_name["assets"]
_write_assets = field_writer(_ASSETS, list[JsonAsset])
