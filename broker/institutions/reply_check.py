"""The checks that every reply must pass, whatever its dialect.

A reply must repeat the id of the request, and contain only items that were asked, each once. Otherwise nothing in it
can be trusted, and the whole reply is a `BadReplyError`. An item that is missing, contradicts itself, belongs to
another kind of institution, or is about somebody else becomes UNAVAILABLE, without effect on the other items.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeVar

from broker.core.wire import encoding
from broker.errors import BadReplyError
from broker.institutions.subject_match import Holder, Match, SubjectMatch
from broker.model import Kind, Outcome, Problem, Question, Reply

DETAILS = {
    Kind.BANK: "account",
    Kind.VEHICLE: "vehicle",
    Kind.SECURITIES: "holding",
    Kind.REAL_ESTATE: "real_estate_unit",
}
"""The kind of asset that institutions of each kind may send: the name of a field of `Asset`."""
_NUMBERS = {
    Kind.BANK: (attrgetter("account.account_number"),),
    Kind.VEHICLE: (attrgetter("vehicle.plate"), attrgetter("vehicle.vin")),
    Kind.SECURITIES: (attrgetter("holding.account_number"),),
    Kind.REAL_ESTATE: (attrgetter("real_estate_unit.unit_number"),),
}
"""The numbers by which a property lookup can ask for an asset of each kind."""
_REFUSALS = frozenset({Outcome.REFUSED, Outcome.INVALID})
MAX_ANSWER = 256 * 1024  # bytes; about 1,500 accounts. Bounds the memory and the message size of one answer
MAX_ASSETS = 4096  # of one answer: as many as fit into it, at 64 bytes for a holder and an account number
MAX_PER_ASSET = 1000  # holders or measures: a building can have hundreds of heirs, an account hundreds of freezes
_MAX_TEXT = 500  # characters of an institution's explanation that are passed on
_MAX_WORD = 64  # characters of a reason or field name
_CLOCK_SKEW = 300  # s an institution's clock may be ahead of ours

Asset = TypeVar("Asset")

Statement = tuple[int, int, bytes]
"""The checked content of a reply about one item: outcome, `observed_at` in seconds since the epoch, and fields 2 to 5
of `Answer`, encoded. Equal statements may be shared between items.
"""


def check_request(request_id: str, question: Question, *, replies: int) -> None:
    """Raises `BadReplyError` if the reply is to another request, or has more `replies` than the question has inquiries.

    A dialect calls this before it reads the items.
    """
    if request_id != question.request_id:
        msg = "the reply has the id of another request"
        raise BadReplyError(msg)
    if replies > len(question.subjects):
        msg = f"{replies} replies to {len(question.subjects)} inquiries"
        raise BadReplyError(msg)


def arrange(items: Sequence[int], statements: Sequence[Statement], question: Question) -> Reply:
    """Puts the statements about `items`, which may be in any order, into the order of the question.

    Items that are missing become UNAVAILABLE. Raises `BadReplyError` if an item was not asked, or occurs twice.
    """
    count = len(question.subjects)
    if items != list(range(count)):
        statements = _reorder(items, statements, count)
    outcomes, observed_at, contents = zip(*statements, strict=True) if statements else ((), (), ())
    reply = Reply(outcomes=bytes(outcomes), contents=contents, observed_at=observed_at)
    return _with_gaps(reply, statements) if Outcome.UNAVAILABLE in reply.outcomes else reply


def _with_gaps(reply: Reply, statements: Sequence[Statement]) -> Reply:
    """The reply, with what it lacks."""
    missing = [item for item, statement in enumerate(statements) if statement is _MISSING]
    bad = sum(statement is _UNUSABLE for statement in statements)
    return replace(reply, missing=missing, unusable=len(missing) + bad)


def unusable() -> Statement:
    """The statement to use for an item whose content is not usable."""
    return _UNUSABLE


def shortened(problem: Problem) -> Problem:
    """Limits the length of an institution's explanation."""
    reason, field, message = problem
    return Problem(reason[:_MAX_WORD] or "UNSPECIFIED", field[:_MAX_WORD], message[:_MAX_TEXT])


class ReplyChecker:
    """Checks the items of one reply."""

    __slots__ = ("_details", "_found", "_now", "_numbers", "_subjects", "_today")

    def __init__(self, question: Question, *, kind: Kind, now: int) -> None:
        """`now` is when the reply was received, in seconds since the epoch."""
        self._subjects = question.subjects
        self._details = DETAILS[kind]
        self._numbers = _NUMBERS[kind]
        self._now = now
        self._today = datetime.fromtimestamp(now, UTC).date()
        self._found: dict[int | None, Statement] = {}

    def not_found(self, observed_at: int | None) -> Statement:
        """A statement NOT_FOUND, by far the most frequent one."""
        return self._bare(Outcome.NOT_FOUND, observed_at)

    def found(self, observed_at: int | None, assets: bytes) -> Statement:
        """A statement FOUND. `assets`: encoded as in `Answer`, and checked with `objection`."""
        # Nearly all statements of a reply have the same time.
        if (begun := self._found.get(observed_at)) is None:
            begun = self._found[observed_at] = self._bare(Outcome.FOUND, observed_at)
        if begun is _UNUSABLE or len(assets) > MAX_ANSWER:
            return _UNUSABLE
        outcome, moment, content = begun
        return outcome, moment, content + assets

    def refusal(self, outcome: int, observed_at: int | None, problem: Problem) -> Statement:
        """A statement REFUSED or INVALID."""
        moment = self._moment(observed_at)
        if moment is None or outcome not in _REFUSALS:
            return _UNUSABLE
        content = encoding.content(Outcome(outcome), observed_at=moment, problem=shortened(problem))
        return outcome, moment, content

    def objection(
        self, item: int, assets: Sequence[Asset], read: Callable[[Asset], tuple[str | None, Collection[Holder]]]
    ) -> Statement | None:
        """The statement to use instead of FOUND, if these assets cannot be the answer about the item; else None.

        There have to be assets, not too many, and all of them of the right kind and about the subject of the item. An
        asset is about a person or organisation if one of its holders is the subject, and about a property if it has the
        subject's number. `read` returns the name of an asset's details (None if it is not usable) and its holders.
        Assets have the attributes of the contract's `Asset`.
        """
        if not 0 <= item < len(self._subjects) or not 0 < len(assets) <= MAX_ASSETS:
            return _UNUSABLE  # `arrange` refuses the reply if the item was not asked
        subject = self._subjects[item]
        known: SubjectMatch | None = None
        name_differs = False
        for asset in assets:
            details, holders = read(asset)
            if details != self._details:
                return _UNUSABLE
            if subject in holders if subject.name else subject.number in self._numbers_of(asset):
                continue
            known = known or SubjectMatch(subject, today=self._today)
            match = known.holders(holders) if subject.name else known.numbers(self._numbers_of(asset))
            if match is Match.OTHER:
                return _UNUSABLE
            name_differs |= match is Match.NAME_DIFFERS
        return _NAME_DIFFERS if name_differs else None

    def _numbers_of(self, asset: object) -> list[str]:
        """The numbers of an asset."""
        return [number(asset) for number in self._numbers]

    def _bare(self, outcome: Outcome, observed_at: int | None) -> Statement:
        """A statement without assets."""
        moment = self._moment(observed_at)
        return _UNUSABLE if moment is None else (outcome, moment, encoding.content(outcome, observed_at=moment))

    def _moment(self, observed_at: int | None) -> int | None:
        """The time of observation; None if it is not a possible one."""
        if observed_at is None:
            return self._now
        return min(observed_at, self._now) if 0 < observed_at <= self._now + _CLOCK_SKEW else None


def _reorder(items: Sequence[int], statements: Sequence[Statement], count: int) -> list[Statement]:
    by_item = dict(zip(items, statements, strict=True))
    surplus = len(by_item.keys() - set(range(count)))
    if surplus or len(by_item) != len(statements):
        # Counted, not quoted: an item's number may be anything.
        msg = f"items never asked: {surplus}; items answered twice: {len(statements) - len(by_item)}"
        raise BadReplyError(msg)
    return [by_item.get(item, _MISSING) for item in range(count)]


def _unavailable(problem: Problem) -> Statement:
    return (Outcome.UNAVAILABLE, 0, encoding.content(Outcome.UNAVAILABLE, problem=problem))


_UNUSABLE = _unavailable(
    Problem("BAD_REPLY", "", "the institution's reply to this inquiry was not usable; ask again later")
)
_NAME_DIFFERS = _unavailable(
    Problem(
        "NAME_DIFFERS",
        "name",
        "the institution has this number under another name; compare name and number with the document, and find out"
        " whether the name was changed",
    )
)
_MISSING = _unavailable(
    Problem("NO_ANSWER", "", "the institution's reply does not contain this inquiry; ask again later")
)
