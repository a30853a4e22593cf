"""What holds for every reply, in whatever dialect it came.

A reply must be to the request that was sent, and speak of the items asked, each once; otherwise nothing in it can be
trusted and all of it is a `BadReplyError`. An item that is passed over, contradicts itself, is of another kind of
institution, or speaks of somebody else is UNAVAILABLE on its own, and what was said about the others stands.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from broker.core import wire
from broker.core.identity import normalise_names
from broker.errors import BadReplyError
from broker.model import Kind, Outcome, Problem, Question, Reply, Subject, SubjectType

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
_UNSPECIFIED = 0  # of DocumentType
_REFUSALS = frozenset({Outcome.REFUSED, Outcome.INVALID})
_LONGEST_ANSWER = 256 * 1024  # bytes; some 1,500 accounts. Bounds what one answer can take of memory and messages
MOST_ASSETS = 4096  # of one answer: as many as it has room for, at 64 bytes for a holder and an account number
MOST_PER_ASSET = 1000  # holders, and measures: heirs of a building, and queues of waiting freezes, run to hundreds
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
    holders: Collection[tuple[int, str, str]]
    """`DocumentType`, document number and name, in the order of a `Subject`; as the institution spells them."""
    properties: Collection[str]
    """`PROPERTY_NUMBERS` of its details."""


def check_request(request_id: str, question: Question, *, replies: int) -> None:
    """Raises `BadReplyError` unless the reply is to this question, and has no more `replies` than it has inquiries.

    To be called before any of them is looked at.
    """
    if request_id != question.request_id:
        msg = "the reply is to another request"
        raise BadReplyError(msg)
    if replies > len(question.subjects):
        msg = f"{replies} replies to {len(question.subjects)} inquiries"
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

    def found(
        self, item: int, observed_at: int | None, *, assets: Iterable[AssetFacts], encode: Callable[[], bytes]
    ) -> Statement:
        """A statement FOUND. `encode` gives its assets as `Answer` holds them; it is called if they are acceptable."""
        head = self._head(Outcome.FOUND, observed_at)
        if head is None or not 0 <= item < self._count or not self._all_concern(item, assets):
            return garbled(item)
        encoded = encode()
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

    def _all_concern(self, item: int, assets: Iterable[AssetFacts]) -> bool:
        """Whether there are assets, not too many, all of the right kind and the subject's: held by them, or itself."""
        subject = self._subjects[item]
        count = 0
        for count, (details, holders, properties) in enumerate(assets, 1):
            if count > MOST_ASSETS or details != self._details:
                return False
            if not (_is_among(holders, subject) if subject.name else subject.number in properties):
                return False
        return count > 0


def _is_among(holders: Collection[tuple[int, str, str]], subject: Subject) -> bool:
    """Whether the subject is one of the holders; nearly always in the very spelling that was asked about."""
    return subject in holders or any(_is_subject(holder, subject) for holder in holders)


def _is_subject(holder: tuple[int, str, str], subject: Subject) -> bool:
    """Document types may be equal or unstated, names as well. Numbers of two types of document can be the same."""
    document_type, number, name = holder
    return (
        document_type in (subject.type, _UNSPECIFIED)
        and _is_number(number.upper(), subject)
        and (not name or _comparable(name) == _comparable(subject.name))
    )


def _is_number(number: str, subject: Subject) -> bool:
    """An organisation code (GB 11714) is the places 9 to 17 of the unified code that replaced it (GB 32100)."""
    if subject.type is SubjectType.ORGANIZATION_CODE and len(subject.number) == 9 and len(number) == 18:
        return number[8:17] == subject.number
    return number == subject.number


def _comparable(name: str) -> str:
    """Passports are in capitals, courts' files need not be."""
    [normalised], _ = normalise_names([name])
    return normalised.casefold()


def _reorder(statements: Sequence[Statement], count: int) -> list[Statement]:
    by_item = {statement.item: statement for statement in statements}
    surplus = len(by_item.keys() - set(range(count)))
    if surplus or len(by_item) != len(statements):
        # Counted, not named: what stands for an item's number may be anything.
        msg = f"items never asked: {surplus}; items answered twice: {len(statements) - len(by_item)}"
        raise BadReplyError(msg)
    passed_over = wire.content(Outcome.UNAVAILABLE, problem=_MISSING)
    return [by_item.get(item) or Statement(item, Outcome.UNAVAILABLE, 0, passed_over) for item in range(count)]
