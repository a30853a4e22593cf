"""The vocabulary as types: every other module speaks in these words.

Numbers of the enumerations are those of the wire contract (proto/broker/v1), so nothing is translated between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What an institution keeps records of."""

    BANK = 1
    VEHICLE = 2
    SECURITIES = 3
    REAL_ESTATE = 4


class SubjectType(IntEnum):
    """What kind of number a lookup is about. 1 to 6 identify somebody, the others something."""

    RESIDENT_ID = 1
    PASSPORT = 2
    MILITARY_ID = 3
    HK_MACAO_PERMIT = 4
    TAIWAN_PERMIT = 5
    ORGANIZATION_CODE = 6
    VEHICLE_PLATE = 7
    VEHICLE_VIN = 8
    REAL_ESTATE_UNIT = 9
    BANK_ACCOUNT = 10
    SECURITIES_ACCOUNT = 11


ALL_KINDS = frozenset(Kind)

KINDS_ASKED: dict[SubjectType, frozenset[Kind]] = {
    SubjectType.RESIDENT_ID: ALL_KINDS,
    SubjectType.PASSPORT: ALL_KINDS,
    SubjectType.MILITARY_ID: ALL_KINDS,
    SubjectType.HK_MACAO_PERMIT: ALL_KINDS,
    SubjectType.TAIWAN_PERMIT: ALL_KINDS,
    SubjectType.ORGANIZATION_CODE: ALL_KINDS,
    SubjectType.VEHICLE_PLATE: frozenset({Kind.VEHICLE}),
    SubjectType.VEHICLE_VIN: frozenset({Kind.VEHICLE}),
    SubjectType.REAL_ESTATE_UNIT: frozenset({Kind.REAL_ESTATE}),
    SubjectType.BANK_ACCOUNT: frozenset({Kind.BANK}),
    SubjectType.SECURITIES_ACCOUNT: frozenset({Kind.SECURITIES}),
}
"""Which kinds of institution can say something about which subject: a person is asked about everywhere, a thing only
where things of its kind are registered."""


class Outcome(IntEnum):
    """How one inquiry ended."""

    FOUND = 1
    NOT_FOUND = 2
    REFUSED = 3
    INVALID = 4
    UNAVAILABLE = 5
    TIMED_OUT = 6
    PENDING = 7


CONCLUSIVE = frozenset({Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.INVALID})
"""Outcomes that asking again would not change."""

CACHEABLE = frozenset({Outcome.FOUND, Outcome.NOT_FOUND})
"""Outcomes that state a fact about the subject. Nothing else is ever cached."""


class Source(IntEnum):
    """Where an answer comes from."""

    INSTITUTION = 1
    CACHE = 2
    FLIGHT = 3
    BROKER = 4


class Priority(IntEnum):
    """Interactive work goes ahead of bulk work at every institution."""

    INTERACTIVE = 1
    BULK = 2


class Delivery(IntEnum):
    """One report per lookup, or answers as they come."""

    COMPLETE = 1
    INCREMENTAL = 2


class Level(StrEnum):
    """The four levels of courts."""

    BASIC = "basic"
    INTERMEDIATE = "intermediate"
    HIGH = "high"
    SUPREME = "supreme"


@dataclass(frozen=True, slots=True)
class Court:
    """A caller. Level and region follow from the code (`core.court`)."""

    code: str
    level: Level
    region: str | None
    """The province's one-character name, such as 京; None for the supreme court, which has no region."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """Why a court may ask. Travels with every inquiry to the institution."""

    court: Court
    officer: str
    case_number: str
    legal_document: str


class Subject(NamedTuple):
    """What is asked about, normalised: equal subjects are equal tuples."""

    type: SubjectType
    number: str
    name: str
    """Empty for a thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a court asks for and on what terms, checked as a whole. Its lookups travel beside it."""

    mandate: Mandate
    institution_ids: tuple[str, ...]
    """Those to ask; none: all that the court can reach."""
    kinds: frozenset[Kind]
    """Kinds of institution to ask; none: all."""
    max_age: float | None
    """Seconds; None: whatever is still valid."""
    priority: Priority
    delivery: Delivery
    request_id: str


class Problem(NamedTuple):
    """Why an outcome is not FOUND or NOT_FOUND. Goes to the caller; never holds the subject's data."""

    reason: str
    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSpec:
    """One answering system, as the registry describes it. Durations in seconds."""

    id: str
    name: str
    kind: Kind
    region: str | None
    """None: serves the whole country. Else only courts of this region can reach it."""
    dialect: str
    url: str
    batch_size: int
    """Most inquiries it takes in one call."""
    concurrency: int
    """Most calls it takes at a time."""
    rate: float
    """Most inquiries per second it takes, in the long run."""
    timeout: float
    found_ttl: float
    not_found_ttl: float


@dataclass(frozen=True, slots=True)
class Question:
    """One call to one institution: a batch of subjects, each under a mandate.

    `subjects[i]` rests on `mandates[mandate_of[i]]`, and is item `i` of the call.
    """

    request_id: str
    institution_id: str
    attempt: int
    mandates: Sequence[Mandate]
    mandate_of: Sequence[int]
    subjects: Sequence[Subject]

    def __post_init__(self) -> None:
        if len(self.mandate_of) != len(self.subjects):
            msg = f"{len(self.subjects)} subjects, and mandates of {len(self.mandate_of)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an institution said to a `Question`: three columns, aligned with its subjects.

    `contents[i]` is fields 2 to 5 of the wire's `Answer`, encoded. An item the institution passed over, or answered
    with something that is no answer, is UNAVAILABLE here, with its problem encoded in the content.
    """

    outcomes: bytes
    contents: Sequence[bytes]
    observed_at: Sequence[int]
    """Seconds since the epoch, as of when each statement holds."""
