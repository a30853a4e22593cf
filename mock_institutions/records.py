"""The contract's messages as types, with the same names. Encoded as JSON, they are the contract's JSON.

A field is omitted if it has its default value.
"""

from datetime import date
from typing import Literal, get_args

from msgspec import Struct

Kind = Literal["bank", "vehicle", "securities", "real_estate"]

# In the order of the contract's enumeration, whose numbers start at 1.
SubjectType = Literal[
    "RESIDENT_ID",
    "PASSPORT",
    "MILITARY_ID",
    "HK_MACAO_PERMIT",
    "TAIWAN_PERMIT",
    "ORGANIZATION_CODE",
    "VEHICLE_PLATE",
    "VEHICLE_VIN",
    "REAL_ESTATE_UNIT",
    "BANK_ACCOUNT",
    "SECURITIES_ACCOUNT",
    "FOREIGN_PERMANENT_RESIDENT",
    "HONG_KONG_ID",
    "MACAO_ID",
    "TAIWAN_ID",
]
SUBJECT_TYPES: tuple[SubjectType, ...] = get_args(SubjectType)

Outcome = Literal["FOUND", "NOT_FOUND", "REFUSED", "INVALID"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

DocumentType = Literal["RESIDENT_ID", "ORGANIZATION_CODE"]
MeasureType = Literal["FREEZE", "WAITING_FREEZE", "SEIZURE", "MORTGAGE"]
AccountStatus = Literal["NORMAL", "DORMANT", "FROZEN", "CLOSED"]


class Money(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount: units of the currency, and billionths of a unit."""

    currency_code: str
    units: int
    nanos: int


class Holder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A holder of a thing. `share` is a fraction; empty means the whole."""

    name: str
    document_type: DocumentType
    document_number: str
    share: str = ""


class JudicialMeasure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measure in force (rank 1), or waiting (rank 2 and above)."""

    type: MeasureType
    authority: str
    document_number: str
    amount: Money | None = None
    starts_on: date
    ends_on: date
    rank: int


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bank account."""

    account_number: str
    category: str
    status: AccountStatus
    branch: str
    opened_on: date
    balance: Money
    available_balance: Money


class Vehicle(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A motor vehicle."""

    plate: str
    vin: str
    model: str
    registered_on: date
    inspection_valid_until: date
    mortgaged: bool


class SecuritiesHolding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A holding of one security."""

    account_number: str
    security_code: str
    security_name: str
    quantity: int
    frozen_quantity: int
    custodian: str
    market_value: Money


class RealEstateUnit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A real-estate unit. The area is a decimal number of square metres."""

    unit_number: str
    certificate_number: str
    location: str
    usage: str
    right_type: str
    area_square_metres: str
    registered_on: date
    term_ends_on: date


class Asset(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One asset. Exactly one of the last four fields is set."""

    holders: tuple[Holder, ...]
    measures: tuple[JudicialMeasure, ...] = ()
    account: Account | None = None
    vehicle: Vehicle | None = None
    holding: SecuritiesHolding | None = None
    real_estate_unit: RealEstateUnit | None = None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an inquiry is refused or invalid. Never contains the subject's data."""

    reason: str
    field: str
    message: str


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of an institution about one subject."""

    outcome: Outcome
    problem: Problem | None = None
    assets: tuple[Asset, ...] = ()


class InquiryReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer as an element of a reply. `observed_at` is in RFC 3339, UTC, and whole seconds."""

    item: int
    outcome: Outcome
    observed_at: str
    problem: Problem | None = None
    assets: tuple[Asset, ...] = ()


class InquiryBatchReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reply to a batch."""

    request_id: str
    replies: tuple[InquiryReply, ...]


class Mandate(Struct, frozen=True, kw_only=True):
    """The authority of a court to ask."""

    court_code: str
    officer: str
    case_number: str
    legal_document: str


class Inquiry(Struct, frozen=True, kw_only=True, gc=False):
    """One lookup at one institution."""

    item: int
    mandate: int
    subject_type: SubjectType
    number: str
    name: str = ""


class InquiryBatch(Struct, frozen=True, kw_only=True):
    """A batch of inquiries."""

    request_id: str
    institution_id: str
    attempt: int
    mandates: list[Mandate]
    inquiries: list[Inquiry]
