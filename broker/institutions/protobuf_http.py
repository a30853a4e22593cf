"""The protobuf dialect: proto/broker/v1/institution.proto over HTTP.

Items with the same content nearly always have the same bytes, and comparing bytes is cheaper than parsing messages. So
`_Known` recognises items without assets by their bytes. All others are parsed together, stripped of unknown fields, and
serialised again. What is passed on is therefore well-formed. In particular, no item has a field 1 or 6, which are the
institution and the source of an answer. If they cannot be parsed together, they are parsed one by one, so that a bad
item harms no other.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError

from broker.core.wire import encoding
from broker.core.wire.encoding import length_at, text_field, varint
from broker.core.wire.outline import outline, with_encoded, with_only
from broker.errors import BadReplyError
from broker.institutions.content_rules import MAX_NANOS
from broker.institutions.inquiry import Inquiry, columns
from broker.institutions.protobuf_content import are_plain, is_right
from broker.institutions.reply_check import (
    DETAILS,
    MAX_ANSWER,
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
            reply = _Outline.FromString(body)
        except DecodeError:
            msg = "the reply is not an InquiryBatchReply"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question, replies=len(reply.replies))
        checker = ReplyChecker(question, kind=kind, now=now)
        return arrange(*_read(list(reply.replies), _Known(question, checker, kind), checker), question)


def _read(pieces: list[bytes], known: "_Known", checker: ReplyChecker) -> tuple[list[int], list[Statement]]:
    """The numbers of the items, and the statement about each."""
    openings = _openings(len(pieces))
    rests = list(map(bytes.removeprefix, pieces, openings))
    if sum(map(len, pieces)) != sum(map(len, openings)) + sum(map(len, rests)):  # some are out of order
        rests = list(map(_rest, pieces, openings))
    unread = unusable()
    items = list(range(len(pieces)))
    statements = list(map(known.nothing(rests).get, rests, repeat(unread)))
    others = [index for index, statement in enumerate(statements) if statement is unread]
    messages, encoded = _parse([pieces[index] for index in others])
    for at, index in enumerate(others):
        statement = known.recognise(index, _rest(encoded[at], openings[index]))
        if statement is None:
            message = messages[at]
            if isinstance(message, int):
                items[index], statement = message, unread
            else:
                items[index], statement = message.item, _statement(message, checker)
        statements[index] = statement
    return items, statements


def _rest(piece: bytes, opening: bytes) -> bytes:
    """What follows the number of an item; nothing if it has another number, or does not begin with it."""
    return piece[len(opening) :] if piece.startswith(opening) else b""


def _parse(pieces: Sequence[bytes]) -> tuple[Sequence[institution_pb2.InquiryReply | int], Sequence[bytes]]:
    """Parses items together if that is possible, and otherwise one by one.

    Returns the messages, with the number of the item in place of one that is not usable, and the items as the library
    serialises them. Raises `BadReplyError` if an item does not say which one it is.
    """
    if max(map(len, pieces), default=0) > _MAX_ITEM:
        return _parse_each(pieces)
    try:
        batch = institution_pb2.InquiryBatchReply.FromString(_Cut(pieces=pieces).SerializeToString())
    except DecodeError:
        return _parse_each(pieces)
    encoded = _encoded(batch)
    if are_plain(encoded):
        return batch.replies, encoded
    batch.DiscardUnknownFields()
    encoded = _encoded(batch)
    right = list(map(is_right, batch.replies))
    messages = [one if usable else one.item for one, usable in zip(batch.replies, right, strict=True)]
    return messages, [data if usable else b"" for data, usable in zip(encoded, right, strict=True)]


def _parse_each(pieces: Sequence[bytes]) -> tuple[Sequence[institution_pb2.InquiryReply | int], Sequence[bytes]]:
    if len(pieces) == 1:
        return [_number(pieces[0])], [b""]
    parsed = [_parse([piece]) for piece in pieces]
    return [message for messages, _ in parsed for message in messages], [data for _, datas in parsed for data in datas]


def _encoded(batch: institution_pb2.InquiryBatchReply) -> list[bytes]:
    """The items as the library serialises them."""
    return list(_Cut.FromString(batch.SerializeToString()).pieces)


def _number(piece: bytes) -> int:
    """The number of an item that cannot be parsed. Raises `BadReplyError` if not even that can be."""
    for readable in (piece, _first_field(piece)):
        try:
            return int(_Numbered.FromString(readable).item)
        except DecodeError:
            continue
    msg = "an element of the reply has no number of an item"
    raise BadReplyError(msg)


def _first_field(piece: bytes) -> bytes:
    """The number at the beginning of an item, which is where every library writes it; else no message."""
    return (_starts_with_number(piece) or [_NO_MESSAGE])[0]


_starts_with_number = re.compile(rb"\x08[\x80-\xff]{0,9}[\x00-\x7f]").match
_NO_MESSAGE = b"\x00"


@lru_cache(maxsize=16)
def _openings(count: int) -> list[bytes]:
    """The first bytes of items in order: their numbers. Zero, the default value, is omitted."""
    return [varint(_ITEM) + varint(item) if item else b"" for item in range(count)]


class _Known:
    """Recognises the content of items from the bytes after their number.

    State: the timestamps of FOUND statements, and the NOT_FOUND statements, by their bytes.
    """

    def __init__(self, question: Question, checker: ReplyChecker, kind: Kind) -> None:
        self._moments: dict[bytes, int | None] = {}
        self._nothing: dict[bytes, Statement | None] = {}
        self._subjects = question.subjects
        self._checker = checker
        self._details = _DETAILS[kind]

    def nothing(self, rests: Iterable[bytes]) -> dict[bytes, Statement]:
        """The statements NOT_FOUND by their bytes, as far as they are encoded as the library does."""
        own = self._nothing
        own |= {rest: self._bare(rest) for rest in {*rests} if rest.startswith(_NOT_FOUND)}
        return {rest: statement for rest, statement in own.items() if statement is not None}

    def _bare(self, rest: bytes) -> Statement | None:
        """The statement, if it is NOT_FOUND and nothing else; else None."""
        try:
            message = institution_pb2.InquiryReply.FromString(rest)
        except DecodeError:
            return None
        is_canonical = message.SerializeToString() == rest  # so it has no second number, and no unknown fields
        return _statement(message, self._checker) if is_canonical else None

    def recognise(self, item: int, rest: bytes) -> Statement | None:
        """The statement of an item that the library encoded, if it is known by its bytes; else None."""
        if rest.startswith(_NOT_FOUND):
            if rest not in self._nothing:
                self._nothing[rest] = self._bare(rest)
            return self._nothing[rest]
        return self.found(item, rest)

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
    """In seconds since the epoch; None if there is none, 0 if it is not a timestamp."""
    if not element.HasField("observed_at"):
        return None
    return element.observed_at.seconds if 0 <= element.observed_at.nanos <= MAX_NANOS else 0


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


_Outline = with_encoded(institution_pb2.InquiryBatchReply, "replies")
"""An InquiryBatchReply whose items stay encoded."""
_Cut = outline(institution_pb2.InquiryBatchReply.REPLIES_FIELD_NUMBER)
"""The same without the id of the request."""
_Numbered = with_only(institution_pb2.InquiryReply, "item")
"""The number of an item, whatever else is in it."""


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
_MAX_ITEM = 2 * MAX_ANSWER  # bytes; with unknown fields, which are dropped
# Items of at most this many bytes have no more than MAX_PER_ASSET holders or measures, which take two bytes each, and
# their lengths take at most two bytes.
_PLAIN = 2 * MAX_PER_ASSET
