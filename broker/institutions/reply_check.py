"""What holds for every reply, in whatever dialect it came.

A reply must be to the request that was sent, and speak of the items asked, each once; otherwise nothing in it can be
trusted and all of it is a `BadReplyError`. An item that is passed over, contradicts itself, is of another kind of
institution, or speaks of somebody else is UNAVAILABLE on its own, and what was said about the others stands.
"""

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import TypeVar

from broker.core.subjects.identity import normalise_names
from broker.core.wire import encoding
from broker.errors import BadReplyError
from broker.model import Kind, Outcome, Problem, Question, Reply, Subject, SubjectType

DETAILS = {
    Kind.BANK: "account",
    Kind.VEHICLE: "vehicle",
    Kind.SECURITIES: "holding",
    Kind.REAL_ESTATE: "real_estate_unit",
}
"""The asset details that institutions of a kind may send, by their name in `Asset`."""
_NUMBERS = {
    Kind.BANK: (attrgetter("account.account_number"),),
    Kind.VEHICLE: (attrgetter("vehicle.plate"), attrgetter("vehicle.vin")),
    Kind.SECURITIES: (attrgetter("holding.account_number"),),
    Kind.REAL_ESTATE: (attrgetter("real_estate_unit.unit_number"),),
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

Asset = TypeVar("Asset")

Statement = tuple[int, int, bytes]
"""What a reply says about one item, once checked. Items about which the same is said may share one.

Outcome; when it was observed, in seconds since the epoch; and fields 2 to 5 of `Answer`, encoded.
"""

Holder = tuple[int, str, str]
"""`DocumentType`, document number and name, in the order of a `Subject`; as the institution spells them."""


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


def arrange(items: Sequence[int], statements: Sequence[Statement], question: Question) -> Reply:
    """Statements about `items`, which come in any order, as a reply aligned with the question.

    Raises `BadReplyError` if they speak of items that were not asked, or twice of one.
    """
    count = len(question.subjects)
    if items != list(range(count)):
        statements = _reorder(items, statements, count)
    outcomes, observed_at, contents = zip(*statements, strict=True) if statements else ((), (), ())
    return Reply(outcomes=bytes(outcomes), contents=contents, observed_at=observed_at)


def garbled() -> Statement:
    """The statement in place of one that cannot be used."""
    return _UNUSABLE


def shortened(problem: Problem) -> Problem:
    """An institution's explanation, within bounds."""
    reason, field, message = problem
    return Problem(reason[:_LONGEST_WORD] or "UNSPECIFIED", field[:_LONGEST_WORD], message[:_LONGEST_TEXT])


class Reader:
    """Checks what one reply says."""

    __slots__ = ("_details", "_found", "_now", "_numbers", "_subjects")

    def __init__(self, question: Question, *, kind: Kind, now: int) -> None:
        """`now`, when the reply came, in seconds since the epoch."""
        self._subjects = question.subjects
        self._details = DETAILS[kind]
        self._numbers = _NUMBERS[kind]
        self._now = now
        self._found: dict[int | None, Statement] = {}

    def not_found(self, observed_at: int | None) -> Statement:
        """A statement NOT_FOUND: the most frequent one by far."""
        return self._bare(Outcome.NOT_FOUND, observed_at)

    def found(self, observed_at: int | None, assets: bytes) -> Statement:
        """A statement FOUND of these assets, encoded as in `Answer`, which have been found to concern the subject."""
        # Nearly all statements of a reply are of the same moment.
        if (begun := self._found.get(observed_at)) is None:
            begun = self._found[observed_at] = self._bare(Outcome.FOUND, observed_at)
        if begun is _UNUSABLE or len(assets) > _LONGEST_ANSWER:
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

    def concern(
        self, item: int, assets: Sequence[Asset], read: Callable[[Asset], tuple[str | None, Collection[Holder]]]
    ) -> bool:
        """Whether there are assets, not too many, all of the right kind and the subject's: held by them, or itself.

        `read` gives the name of an asset's details, None if it cannot be used, and its holders. Assets have the members
        of `Asset` in the contract.
        """
        if not 0 <= item < len(self._subjects) or not 0 < len(assets) <= MOST_ASSETS:
            return False  # `arrange` will refuse a reply that speaks of an item that was not asked
        subject = self._subjects[item]
        for asset in assets:
            details, holders = read(asset)
            if details != self._details:
                return False
            if not (_is_among(holders, subject) if subject.name else self._is(asset, subject)):
                return False
        return True

    def _is(self, asset: object, subject: Subject) -> bool:
        return any(number(asset) == subject.number for number in self._numbers)

    def _bare(self, outcome: Outcome, observed_at: int | None) -> Statement:
        """A statement without assets."""
        moment = self._moment(observed_at)
        return _UNUSABLE if moment is None else (outcome, moment, encoding.content(outcome, observed_at=moment))

    def _moment(self, observed_at: int | None) -> int | None:
        """When it was observed; None if that cannot be."""
        if observed_at is None:
            return self._now
        return min(observed_at, self._now) if 0 < observed_at <= self._now + _CLOCK_SKEW else None


def _is_among(holders: Collection[Holder], subject: Subject) -> bool:
    """Whether the subject is one of the holders; nearly always in the very spelling that was asked about."""
    return subject in holders or any(_is_subject(holder, subject) for holder in holders)


def _is_subject(holder: Holder, subject: Subject) -> bool:
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


def _reorder(items: Sequence[int], statements: Sequence[Statement], count: int) -> list[Statement]:
    by_item = dict(zip(items, statements, strict=True))
    surplus = len(by_item.keys() - set(range(count)))
    if surplus or len(by_item) != len(statements):
        # Counted, not named: what stands for an item's number may be anything.
        msg = f"items never asked: {surplus}; items answered twice: {len(statements) - len(by_item)}"
        raise BadReplyError(msg)
    return [by_item.get(item, _PASSED_OVER) for item in range(count)]


def _unavailable(problem: Problem) -> Statement:
    return (Outcome.UNAVAILABLE, 0, encoding.content(Outcome.UNAVAILABLE, problem=problem))


_UNUSABLE = _unavailable(
    Problem("BAD_REPLY", "", "the institution's reply to this inquiry was not usable; ask again later")
)
_PASSED_OVER = _unavailable(
    Problem("NO_ANSWER", "", "the institution's reply passed over this inquiry; ask again later")
)
