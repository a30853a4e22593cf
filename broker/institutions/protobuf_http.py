"""The protobuf dialect: proto/broker/v1/institution.proto over HTTP.

A reply is parsed, stripped of unknown fields, serialised again, and split into its items. What is passed on is
therefore well-formed. In particular, no item has a field 1 or 6, which are the institution and the source of an answer.

Serialised by the same library, items with the same content have the same bytes, and comparing bytes is cheaper than
parsing messages. `_Known` recognises the content of nearly every item by its bytes; the rest are read as messages.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError

from broker.core.wire import encoding
from broker.core.wire.encoding import length_at, text_field
from broker.core.wire.outline import outline
from broker.errors import BadReplyError
from broker.institutions.inquiry import Inquiry, columns
from broker.institutions.reply_check import (
    DETAILS,
    MAX_PER_ASSET,
    ReplyChecker,
    Statement,
    arrange,
    check_request,
    unusable,
)
from broker.institutions.struct_writer import columns_writer
from broker.institutions.subject_match import Holder
from broker.model import Kind, Outcome, Problem, Question, Reply, Subject
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

_INQUIRIES: Any = institution_pb2.InquiryBatch.DESCRIPTOR.fields_by_name["inquiries"]
_write_inquiries = columns_writer(_INQUIRIES, Inquiry)


class ProtobufDialect:
    """Questions and replies in protobuf."""

    content_type = "application/x-protobuf"

    def encode(self, question: Question) -> bytes:
        """See `Dialect`."""
        batch = institution_pb2.InquiryBatch(
            request_id=question.request_id,
            institution_id=question.institution_id,
            attempt=question.attempt,
            mandates=[
                inquiry_pb2.Mandate(
                    court_code=mandate.court.code,
                    officer=mandate.officer,
                    case_number=mandate.case_number,
                    legal_document=mandate.legal_document,
                )
                for mandate in question.mandates
            ],
        )
        return batch.SerializeToString() + _write_inquiries(columns(question))

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """See `Dialect`."""
        try:
            reply = institution_pb2.InquiryBatchReply.FromString(body)
        except DecodeError:
            msg = "the reply is not an InquiryBatchReply"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question, replies=len(reply.replies))
        reply.DiscardUnknownFields()
        return arrange(*_read(reply, question, ReplyChecker(question, kind=kind, now=now), kind), question)


def _read(
    reply: institution_pb2.InquiryBatchReply, question: Question, checker: ReplyChecker, kind: Kind
) -> tuple[list[int], list[Statement]]:
    """The numbers of the items, and the statement about each."""
    pieces = list(_Cut.FromString(reply.SerializeToString()).pieces)
    openings = _openings(len(pieces))
    rests = list(map(bytes.removeprefix, pieces, openings))
    if sum(map(len, pieces)) != sum(map(len, openings)) + sum(map(len, rests)):  # some are out of order
        # Those are read as messages.
        rests = [b"" if len(rest) + len(o) > len(piece) else rest for rest, o, piece in zip(rests, openings, pieces)]  # noqa: B905 - aligned
    known, unread = _Known(question, checker, kind), unusable()
    items = list(range(len(pieces)))
    statements = list(map(known.nothing(rests).get, rests, repeat(unread)))
    for index in [index for index, statement in enumerate(statements) if statement is unread]:
        statement = known.found(index, rests[index])
        if statement is None:
            element = reply.replies[index]
            items[index], statement = element.item, _statement(element, checker)
        statements[index] = statement
    return items, statements


@lru_cache(maxsize=16)
def _openings(count: int) -> list[bytes]:
    """The first bytes of items in order: their numbers. Zero, the default value, is omitted."""
    return [encoding.varint(_ITEM) + encoding.varint(item) if item else b"" for item in range(count)]


class _Known:
    """Recognises the content of items from the bytes after their number.

    State: the timestamps of FOUND statements by their bytes.
    """

    def __init__(self, question: Question, checker: ReplyChecker, kind: Kind) -> None:
        self._moments: dict[bytes, int | None] = {}
        self._subjects = question.subjects
        self._checker = checker
        self._details = _DETAILS[kind]

    def nothing(self, rests: Iterable[bytes]) -> dict[bytes, Statement]:
        """The NOT_FOUND statements among them, by their bytes."""
        parse = institution_pb2.InquiryReply.FromString
        return {rest: _statement(parse(rest), self._checker) for rest in set(rests) if rest.startswith(_NOT_FOUND)}

    def found(self, item: int, rest: bytes) -> Statement | None:
        """The statement, if it is FOUND with assets whose holder is spelled as in the question; else None."""
        if not rest.startswith(_FOUND) or len(rest) > _PLAIN or not (subject := self._subjects[item]).name:
            return None
        at = 4 + rest[3] if rest.startswith(_OBSERVED_AT, 2) else 2
        if at == len(rest) or not _are_held(rest, at, subject, self._details):
            return None
        head = rest[:at]
        if head not in self._moments:
            self._moments[head] = _moment(institution_pb2.InquiryReply.FromString(head))
        return self._checker.found(self._moments[head], rest[at:])


def _are_held(data: bytes, at: int, subject: Subject, details: int) -> bool:
    """Whether `data` from `at` on consists of assets with these details, each held by the subject.

    Fields are in order of their numbers: a holder's share follows what identifies the holder, and details come last.
    """
    name, number = text_field(1, subject.name), text_field(3, subject.number)
    holder = b"%b%c%c%b" % (name, _DOCUMENT_TYPE, subject.type, number)
    while at < len(data):
        if data[at] != _ASSET:
            return False
        size, at = length_at(data, at + 1)
        end = at + size
        held = False
        while at < end and (tag := data[at]) in _BEFORE_DETAILS:
            size, at = length_at(data, at + 1)
            held = held or (tag == _HOLDER and data.startswith(holder, at, at + size))
            at += size
        if not held or at == end or data[at] != details:
            return False
        at = end
    return True


def _statement(element: institution_pb2.InquiryReply, checker: ReplyChecker) -> Statement:
    """The statement of an item."""
    observed_at = _moment(element)
    has_problem = element.HasField("problem")
    if element.outcome == inquiry_pb2.OUTCOME_NOT_FOUND and not has_problem and not element.assets:
        return checker.not_found(observed_at)
    if element.outcome == inquiry_pb2.OUTCOME_FOUND and not has_problem:
        objection = checker.objection(element.item, element.assets, _facts)
        return objection or checker.found(observed_at, _assets(element))
    if element.assets:
        return unusable()
    problem = Problem(element.problem.reason, element.problem.field, element.problem.message)
    return checker.refusal(int(element.outcome), observed_at, problem)


def _moment(element: institution_pb2.InquiryReply) -> int | None:
    return element.observed_at.seconds if element.HasField("observed_at") else None


def _assets(element: institution_pb2.InquiryReply) -> bytes:
    """The encoded assets of an item. Clears its other fields."""
    for field in ("item", "outcome", "observed_at"):
        element.ClearField(field)
    return element.SerializeToString()


_holder: Callable[[asset_pb2.Holder], Holder] = attrgetter("document_type", "document_number", "name")


def _facts(asset: asset_pb2.Asset) -> tuple[str | None, list[Holder]]:
    if len(asset.holders) > MAX_PER_ASSET or len(asset.measures) > MAX_PER_ASSET:
        return None, []
    return asset.WhichOneof("details"), list(map(_holder, asset.holders))


_Cut = outline(institution_pb2.InquiryBatchReply.REPLIES_FIELD_NUMBER)
"""An InquiryBatchReply whose items stay encoded."""


def _tag(number: int) -> int:
    """The tag of a length-delimited field."""
    return number << 3 | 2


_ITEM = institution_pb2.InquiryReply.ITEM_FIELD_NUMBER << 3
_OBSERVED_AT = bytes((_tag(institution_pb2.InquiryReply.OBSERVED_AT_FIELD_NUMBER),))
_ASSET = _tag(institution_pb2.InquiryReply.ASSETS_FIELD_NUMBER)
_HOLDER = _tag(asset_pb2.Asset.HOLDERS_FIELD_NUMBER)
_BEFORE_DETAILS = bytes((_HOLDER, _tag(asset_pb2.Asset.MEASURES_FIELD_NUMBER)))
_DETAILS = {kind: _tag(asset_pb2.Asset.DESCRIPTOR.fields_by_name[name].number) for kind, name in DETAILS.items()}
_DOCUMENT_TYPE = asset_pb2.Holder.DOCUMENT_TYPE_FIELD_NUMBER << 3
_FOUND, _NOT_FOUND = encoding.content(Outcome.FOUND), encoding.content(Outcome.NOT_FOUND)
# Items of at most this many bytes have no more than MAX_PER_ASSET holders or measures, which take two bytes each, and
# their lengths take at most two bytes.
_PLAIN = 2 * MAX_PER_ASSET
