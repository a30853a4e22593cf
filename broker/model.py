"""The types that all other modules share.

The enumerations have the same numbers as those of the contract (proto/broker/v1), so that no translation is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal, NamedTuple

from broker.secret import Secret


class Kind(IntEnum):
    """The kind of an institution: what its records are about."""

    BANK = 1
    VEHICLE = 2
    SECURITIES = 3
    REAL_ESTATE = 4


class SubjectType(IntEnum):
    """The kind of number that identifies a subject: a person, an organisation, or (7 to 11) a property."""

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
    FOREIGN_PERMANENT_RESIDENT = 12
    HONG_KONG_ID = 13
    MACAO_ID = 14
    TAIWAN_ID = 15


ALL_KINDS = frozenset(Kind)

_REGISTERED_AT: dict[SubjectType, Kind] = {
    SubjectType.VEHICLE_PLATE: Kind.VEHICLE,
    SubjectType.VEHICLE_VIN: Kind.VEHICLE,
    SubjectType.REAL_ESTATE_UNIT: Kind.REAL_ESTATE,
    SubjectType.BANK_ACCOUNT: Kind.BANK,
    SubjectType.SECURITIES_ACCOUNT: Kind.SECURITIES,
}
"""The kind of institution with records of each type of property."""

PROPERTY_TYPES = frozenset(_REGISTERED_AT)
PERSON_TYPES = frozenset(SubjectType) - PROPERTY_TYPES - {SubjectType.ORGANIZATION_CODE}
"""Numbers of documents that only a natural person has."""

KINDS_ASKED: dict[SubjectType, frozenset[Kind]] = {
    subject_type: frozenset({_REGISTERED_AT[subject_type]}) if subject_type in PROPERTY_TYPES else ALL_KINDS
    for subject_type in SubjectType
}
"""Which kinds of institution are asked about which subject: all of them about a person or organisation, and about a
property only those with records of its kind."""


class Outcome(IntEnum):
    """The outcome of one inquiry."""

    FOUND = 1
    NOT_FOUND = 2
    REFUSED = 3
    INVALID = 4
    UNAVAILABLE = 5
    TIMED_OUT = 6
    PENDING = 7


CONCLUSIVE = frozenset({Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.INVALID})
"""Outcomes for which asking again is useless."""

CACHEABLE = frozenset({Outcome.FOUND, Outcome.NOT_FOUND})
"""Outcomes that state a fact about the subject. Only these are cached."""


class Source(IntEnum):
    """Where an answer comes from."""

    INSTITUTION = 1
    CACHE = 2
    FLIGHT = 3
    BROKER = 4


class Priority(IntEnum):
    """Interactive inquiries are sent before bulk inquiries at every institution."""

    INTERACTIVE = 1
    BULK = 2


class Delivery(IntEnum):
    """One report per lookup, or answers as they arrive."""

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
    """A court, which is a caller. Its code determines level and region (`core.subjects.court`)."""

    code: str
    level: Level
    region: str | None
    """The one-character name of the province, such as 京. None for the supreme court and the military courts."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """The authority of a court to ask. It is sent to the institution with every inquiry."""

    court: Court
    officer: str
    case_number: str
    legal_document: str


class Subject(NamedTuple):
    """The subject of a lookup: the number normalised, the name as the court wrote it."""

    type: SubjectType
    number: str
    name: str
    """Empty for a property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A validated request, without its lookups."""

    mandate: Mandate
    institution_ids: tuple[str, ...]
    """The institutions to ask. Empty: all that the court can reach."""
    kinds: frozenset[Kind]
    """The kinds of institution to ask. Empty: all kinds."""
    max_age: float | None
    """The maximum age of cached answers in seconds. None: any answer whose TTL has not expired."""
    priority: Priority
    delivery: Delivery
    request_id: str


class Problem(NamedTuple):
    """Why an outcome is neither FOUND nor NOT_FOUND. Sent to the caller, so it has no data of the subject."""

    reason: str
    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach an institution, beyond its URL. Paths are relative to the broker's working directory."""

    headers: tuple[tuple[str, Secret], ...] = ()
    """Names and values that every request has in addition."""
    ca_file: str | None = None
    """Certificates (PEM) of the authorities that may vouch for the institution. None: those of the system."""
    client_certificate: str | None = None
    """The broker's own certificate and those between it and its authority (PEM)."""
    client_key: str | None = None
    """Its private key (PEM). None: it is in the same file."""
    proxy: Secret | None = None
    """The URL of an HTTP proxy, perhaps with name and password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSpec:
    """An institution, as configured. Durations are in seconds."""

    id: str
    name: str
    kind: Kind
    region: str | None
    """The region whose courts can reach it. None: national, all courts can reach it."""
    dialect: str
    url: str
    batch_size: int
    """The maximum number of inquiries per call."""
    concurrency: int
    """The maximum number of simultaneous calls."""
    rate: float
    """The maximum long-run rate in inquiries per second."""
    timeout: float
    found_ttl: float
    not_found_ttl: float
    names: Literal["exact", "folded"] = "exact"
    """How it compares names: by the exact spelling, or whatever the spelling."""
    access: Access = Access()


@dataclass(frozen=True, slots=True)
class Question:
    """One call to one institution: a batch of subjects, each with a mandate.

    `subjects[i]` is item `i` of the call, and its mandate is `mandates[mandate_of[i]]`.
    """

    request_id: str
    institution_id: str
    attempt: int
    mandates: Sequence[Mandate]
    mandate_of: Sequence[int]
    subjects: Sequence[Subject]

    def __post_init__(self) -> None:
        if len(self.mandate_of) != len(self.subjects):
            msg = f"{len(self.subjects)} subjects, but {len(self.mandate_of)} mandates"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of an institution to a `Question`: three columns, aligned with its subjects.

    `contents[i]` contains fields 2 to 5 and 7 of the contract's `Answer`, encoded. An item that is missing from the
    reply, or not usable, is UNAVAILABLE, and its problem is encoded in the content.
    """

    outcomes: bytes
    contents: Sequence[bytes]
    observed_at: Sequence[int]
    """When each item was observed, in seconds since the epoch."""
    missing: Sequence[int] = ()
    """The items that the reply does not contain, and that may be asked again. One that is not usable is not asked
    again: the institution would say the same."""
    unusable: int = 0
    """How many items are missing or not usable."""
