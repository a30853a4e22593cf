"""What holds for every reply, in whatever dialect it came.

A reply must be to the request that was sent, and speak of the items asked, each once; otherwise nothing in it can be
trusted and all of it is a `BadReplyError`. An item that is passed over, contradicts itself, is of another kind of
institution, or speaks of somebody else is UNAVAILABLE on its own, and what was said about the others stands.

Dialects bring each item into the form of `InquiryReply`, whose fields 2 to 5 are those of the court's `Answer`: once
checked, they are handed on as encoded.
"""

from collections.abc import Sequence
from typing import NamedTuple

from broker.core import wire
from broker.errors import BadReplyError
from broker.model import CONCLUSIVE, Kind, Outcome, Problem, Question, Reply, Subject
from broker.v1 import asset_pb2, institution_pb2

_GARBLED = Problem("BAD_REPLY", "", "the institution's reply to this inquiry was not usable; ask again later")
_MISSING = Problem("NO_ANSWER", "", "the institution's reply passed over this inquiry; ask again later")
_DETAILS = {
    Kind.BANK: "account",
    Kind.VEHICLE: "vehicle",
    Kind.SECURITIES: "holding",
    Kind.REAL_ESTATE: "real_estate_unit",
}
_MAY_SAY = frozenset(map(int, CONCLUSIVE))
_LONGEST_ANSWER = 256 * 1024  # bytes; some 1,500 accounts. Bounds what one answer can take of memory and messages
_LONGEST_TEXT = 500  # characters of an institution's explanation that are handed on
_CLOCK_SKEW = 300  # s an institution's clock may be ahead of ours


class Statement(NamedTuple):
    """What a reply says about one item, once checked."""

    item: int
    outcome: int
    observed_at: int
    """Seconds since the epoch."""
    content: bytes
    """Fields 2 to 5 of `Answer`, encoded."""


def check_request(request_id: str, question: Question) -> None:
    """Raises `BadReplyError` unless the reply is to this question."""
    if request_id != question.request_id:
        msg = "the reply is to another request"
        raise BadReplyError(msg)


def arrange(statements: Sequence[Statement], question: Question) -> Reply:
    """Statements in any order, as a reply aligned with the question.

    Raises `BadReplyError` if they speak of items that were not asked, or twice of one.
    """
    count = len(question.subjects)
    if [statement.item for statement in statements] != list(range(count)):
        statements = _reorder(statements, count)
    return Reply(
        outcomes=bytes([statement.outcome for statement in statements]),
        contents=[statement.content for statement in statements],
        observed_at=[statement.observed_at for statement in statements],
    )


def garbled(item: int) -> Statement:
    """The statement in place of one that cannot be used."""
    return Statement(item, Outcome.UNAVAILABLE, 0, wire.content(Outcome.UNAVAILABLE, problem=_GARBLED))


class Reader:
    """Checks the items of one reply."""

    __slots__ = ("_detail", "_not_found", "_now", "_question")

    def __init__(self, question: Question, *, kind: Kind, now: int) -> None:
        """`now`, when the reply came, in seconds since the epoch."""
        self._question = question
        self._detail = _DETAILS[kind]
        self._now = now
        self._not_found: dict[int, bytes] = {}

    def not_found(self, item: int, observed_at: int) -> Statement:
        """What `read` makes of a plain NOT_FOUND, the most frequent statement, without a message being built."""
        if not 0 < observed_at <= self._now + _CLOCK_SKEW:
            return garbled(item)
        observed_at = min(observed_at, self._now)
        content = self._not_found.get(observed_at)
        if content is None:
            content = self._not_found[observed_at] = wire.content(Outcome.NOT_FOUND, observed_at=observed_at)
        return Statement(item, Outcome.NOT_FOUND, observed_at, content)

    def read(self, said: institution_pb2.InquiryReply) -> Statement:
        """What an item says; consumes it."""
        item, outcome = said.item, int(said.outcome)
        if item >= len(self._question.subjects):
            return garbled(item)  # `arrange` will refuse the reply
        observed_at = said.observed_at.seconds if said.HasField("observed_at") else self._now
        if not self._is_sound(said, outcome, self._question.subjects[item]):
            return garbled(item)
        if not 0 < observed_at <= self._now + _CLOCK_SKEW:
            return garbled(item)
        observed_at = min(observed_at, self._now)
        said.observed_at.seconds = observed_at
        if outcome in (Outcome.REFUSED, Outcome.INVALID):
            _shorten(said)
        said.ClearField("item")
        content = said.SerializeToString()
        if len(content) > _LONGEST_ANSWER:
            return garbled(item)
        return Statement(item, outcome, observed_at, content)

    def _is_sound(self, said: institution_pb2.InquiryReply, outcome: int, subject: Subject) -> bool:
        if outcome not in _MAY_SAY or bool(said.assets) != (outcome == Outcome.FOUND):
            return False
        if said.HasField("problem") and outcome in (Outcome.FOUND, Outcome.NOT_FOUND):
            return False
        return all(asset.WhichOneof("details") == self._detail and _concerns(asset, subject) for asset in said.assets)


def _concerns(asset: asset_pb2.Asset, subject: Subject) -> bool:
    """Whether an asset is of the subject asked about: held by them, or the thing itself."""
    if subject.name:
        return any(holder.document_number == subject.number for holder in asset.holders)
    match asset.WhichOneof("details"):
        case "account":
            return asset.account.account_number == subject.number
        case "vehicle":
            return subject.number in (asset.vehicle.plate, asset.vehicle.vin)
        case "holding":
            return asset.holding.account_number == subject.number
        case "real_estate_unit":
            return asset.real_estate_unit.unit_number == subject.number
    return False


def _shorten(said: institution_pb2.InquiryReply) -> None:
    problem = said.problem
    problem.reason = problem.reason[:64] or "UNSPECIFIED"
    problem.field = problem.field[:64]
    problem.message = problem.message[:_LONGEST_TEXT]


def _reorder(statements: Sequence[Statement], count: int) -> list[Statement]:
    by_item = {statement.item: statement for statement in statements}
    surplus = sorted(set(by_item) - set(range(count)))
    if surplus or len(by_item) != len(statements):
        msg = f"items never asked: {surplus[:5]}; items answered twice: {len(statements) - len(by_item)}"
        raise BadReplyError(msg)
    passed_over = wire.content(Outcome.UNAVAILABLE, problem=_MISSING)
    return [by_item.get(item) or Statement(item, Outcome.UNAVAILABLE, 0, passed_over) for item in range(count)]
