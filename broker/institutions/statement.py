"""What holds for every reply, in whatever dialect it came.

A reply must be to the request that was sent, and speak of the items asked, each once; otherwise nothing in it can be
trusted and all of it is a `BadReplyError`. An item that is passed over, contradicts itself, is of another kind of
institution, or speaks of somebody else is UNAVAILABLE on its own, and what was said about the others stands.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from broker.core import wire
from broker.errors import BadReplyError
from broker.model import Kind, Outcome, Problem, Question, Reply

_GARBLED = Problem("BAD_REPLY", "", "the institution's reply to this inquiry was not usable; ask again later")
_MISSING = Problem("NO_ANSWER", "", "the institution's reply passed over this inquiry; ask again later")
DETAILS = {
    Kind.BANK: "account",
    Kind.VEHICLE: "vehicle",
    Kind.SECURITIES: "holding",
    Kind.REAL_ESTATE: "real_estate_unit",
}
"""The asset details that institutions of a kind may send, by their name in `Asset`."""
PROPERTY_NUMBERS = {
    "account": ("account_number",),
    "vehicle": ("plate", "vin"),
    "holding": ("account_number",),
    "real_estate_unit": ("unit_number",),
}
"""The fields of details that a property lookup can be about."""
_REFUSALS = frozenset({Outcome.REFUSED, Outcome.INVALID})
_LONGEST_ANSWER = 256 * 1024  # bytes; some 1,500 accounts. Bounds what one answer can take of memory and messages
_LONGEST_TEXT = 500  # characters of an institution's explanation that are handed on
_LONGEST_WORD = 64  # of a reason or field name
_CLOCK_SKEW = 300  # s an institution's clock may be ahead of ours


class Statement(NamedTuple):
    """What a reply says about one item, once checked."""

    item: int
    outcome: int
    observed_at: int
    """Seconds since the epoch."""
    content: bytes
    """Fields 2 to 5 of `Answer`, encoded."""


class AssetFacts(NamedTuple):
    """What is checked of an asset."""

    details: str | None
    """The name of its details in `Asset`."""
    holders: Collection[str]
    """Document numbers."""
    properties: Collection[str]
    """`PROPERTY_NUMBERS` of its details."""


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
    _, outcomes, observed_at, contents = zip(*statements, strict=True) if statements else ((), (), (), ())
    return Reply(outcomes=bytes(outcomes), contents=contents, observed_at=observed_at)


def garbled(item: int) -> Statement:
    """The statement in place of one that cannot be used."""
    return Statement(item, Outcome.UNAVAILABLE, 0, wire.content(Outcome.UNAVAILABLE, problem=_GARBLED))


def shortened(problem: Problem) -> Problem:
    """An institution's explanation, within bounds."""
    reason, field, message = problem
    return Problem(reason[:_LONGEST_WORD] or "UNSPECIFIED", field[:_LONGEST_WORD], message[:_LONGEST_TEXT])


class Reader:
    """Checks the items of one reply."""

    __slots__ = ("_count", "_details", "_heads", "_now", "_subjects")

    def __init__(self, question: Question, *, kind: Kind, now: int) -> None:
        """`now`, when the reply came, in seconds since the epoch."""
        self._subjects = question.subjects
        self._count = len(question.subjects)
        self._details = DETAILS[kind]
        self._now = now
        # Nearly all statements of a reply are of the same moment.
        self._heads: dict[tuple[Outcome, int | None], tuple[int, bytes]] = {}

    def not_found(self, item: int, observed_at: int | None) -> Statement:
        """A statement NOT_FOUND: the most frequent one by far."""
        if not 0 <= item < self._count:
            return garbled(item)  # `arrange` will refuse the reply
        head = self._head(Outcome.NOT_FOUND, observed_at)
        return garbled(item) if head is None else Statement(item, Outcome.NOT_FOUND, *head)

    def found(self, item: int, observed_at: int | None, *, assets: Sequence[AssetFacts], encoded: bytes) -> Statement:
        """A statement FOUND. `encoded`: its assets, as `Answer` holds them."""
        head = self._head(Outcome.FOUND, observed_at)
        if head is None or not 0 <= item < self._count or not self._all_concern(item, assets):
            return garbled(item)
        if len(encoded) > _LONGEST_ANSWER:
            return garbled(item)
        return Statement(item, Outcome.FOUND, head[0], head[1] + encoded)

    def refusal(self, item: int, outcome: int, observed_at: int | None, problem: Problem) -> Statement:
        """A statement REFUSED or INVALID."""
        moment = self._moment(observed_at)
        if moment is None or outcome not in _REFUSALS:
            return garbled(item)
        content = wire.content(Outcome(outcome), observed_at=moment, problem=shortened(problem))
        return Statement(item, outcome, moment, content)

    def _head(self, outcome: Outcome, observed_at: int | None) -> tuple[int, bytes] | None:
        """When it was observed, and how its content begins; None if it cannot have been observed then."""
        head = self._heads.get((outcome, observed_at))
        if head is None and (moment := self._moment(observed_at)) is not None:
            head = self._heads[outcome, observed_at] = (moment, wire.content(outcome, observed_at=moment))
        return head

    def _moment(self, observed_at: int | None) -> int | None:
        """When it was observed; None if that cannot be."""
        if observed_at is None:
            return self._now
        return min(observed_at, self._now) if 0 < observed_at <= self._now + _CLOCK_SKEW else None

    def _all_concern(self, item: int, assets: Sequence[AssetFacts]) -> bool:
        """Whether all assets are of the right kind, and of the subject: held by them, or the thing itself."""
        _, number, name = self._subjects[item]
        return bool(assets) and all(
            details == self._details and number in (holders if name else properties)
            for details, holders, properties in assets
        )


def _reorder(statements: Sequence[Statement], count: int) -> list[Statement]:
    by_item = {statement.item: statement for statement in statements}
    surplus = len(by_item.keys() - set(range(count)))
    if surplus or len(by_item) != len(statements):
        # Counted, not named: what stands for an item's number may be anything.
        msg = f"items never asked: {surplus}; items answered twice: {len(statements) - len(by_item)}"
        raise BadReplyError(msg)
    passed_over = wire.content(Outcome.UNAVAILABLE, problem=_MISSING)
    return [by_item.get(item) or Statement(item, Outcome.UNAVAILABLE, 0, passed_over) for item in range(count)]
