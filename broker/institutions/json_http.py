"""The JSON dialect: the content of institution.proto as JSON over HTTP, under the same names.

Enumerations by their short names ("FOUND"), timestamps in RFC 3339, dates as 2026-01-31, money as currency_code, units
and nanos. docs/institutions.md shows both directions. Members this broker does not know are ignored.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import msgspec
from google.type import date_pb2, decimal_pb2, money_pb2

from broker.errors import BadReplyError
from broker.institutions.statement import Reader, Statement, arrange, check_request, garbled
from broker.model import Kind, Question, Reply, SubjectType
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2


class _Mandate(msgspec.Struct):
    court_code: str
    officer: str
    case_number: str
    legal_document: str


class _Inquiry(msgspec.Struct):
    item: int
    mandate: int
    subject_type: str
    number: str
    name: str


class _InquiryBatch(msgspec.Struct):
    request_id: str
    institution_id: str
    attempt: int
    mandates: list[_Mandate]
    inquiries: list[_Inquiry]


class _Money(msgspec.Struct):
    units: int
    currency_code: str = "CNY"
    nanos: int = 0


class _Holder(msgspec.Struct):
    document_number: str
    name: str = ""
    document_type: str = "UNSPECIFIED"
    share: str = ""


class _Measure(msgspec.Struct):
    type: str
    authority: str = ""
    document_number: str = ""
    amount: _Money | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    rank: int = 0


class _Account(msgspec.Struct):
    account_number: str
    category: str = ""
    status: str = "UNSPECIFIED"
    branch: str = ""
    opened_on: date | None = None
    balance: _Money | None = None
    available_balance: _Money | None = None


class _Vehicle(msgspec.Struct):
    plate: str = ""
    vin: str = ""
    model: str = ""
    registered_on: date | None = None
    inspection_valid_until: date | None = None
    mortgaged: bool = False


class _Holding(msgspec.Struct):
    account_number: str
    security_code: str = ""
    security_name: str = ""
    quantity: int = 0
    frozen_quantity: int = 0
    custodian: str = ""
    market_value: _Money | None = None


class _RealEstateUnit(msgspec.Struct):
    unit_number: str
    certificate_number: str = ""
    location: str = ""
    usage: str = ""
    right_type: str = ""
    area_square_metres: str | None = None
    registered_on: date | None = None
    term_ends_on: date | None = None


class _Asset(msgspec.Struct):
    holders: list[_Holder] = []
    measures: list[_Measure] = []
    account: _Account | None = None
    vehicle: _Vehicle | None = None
    holding: _Holding | None = None
    real_estate_unit: _RealEstateUnit | None = None


class _Problem(msgspec.Struct):
    reason: str = ""
    field: str = ""
    message: str = ""


class _InquiryReply(msgspec.Struct):
    item: int
    outcome: str
    observed_at: datetime | None = None
    problem: _Problem | None = None
    assets: list[_Asset] = []


class _InquiryBatchReply(msgspec.Struct):
    request_id: str
    replies: list[_InquiryReply]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_InquiryBatchReply).decode
_SUBJECT_TYPES = {int(subject_type): subject_type.name for subject_type in SubjectType}


class JsonDialect:
    """Questions and replies in JSON."""

    content_type = "application/json"

    def encode(self, question: Question) -> bytes:
        """See `Dialect`."""
        return _encode(
            _InquiryBatch(
                request_id=question.request_id,
                institution_id=question.institution_id,
                attempt=question.attempt,
                mandates=[
                    _Mandate(mandate.court.code, mandate.officer, mandate.case_number, mandate.legal_document)
                    for mandate in question.mandates
                ],
                inquiries=[
                    _Inquiry(item, mandate, _SUBJECT_TYPES[subject_type], number, name)
                    for item, (mandate, (subject_type, number, name)) in enumerate(
                        zip(question.mandate_of, question.subjects, strict=True)
                    )
                ],
            )
        )

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """See `Dialect`."""
        try:
            reply = _decode(body)
        except msgspec.DecodeError as error:
            # msgspec names the place and the types, never the value.
            msg = f"the reply is not an InquiryBatchReply: {error}"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question)
        reader = Reader(question, kind=kind, now=now)
        clock = _Clock(now)
        return arrange([_statement(said, reader, clock) for said in reply.replies], question)


class _Clock:
    """Seconds since the epoch of timestamps, most of which are the same within a reply."""

    def __init__(self, now: int) -> None:
        self._last: tuple[datetime | None, int] = (None, now)
        self._now = now

    def seconds(self, at: datetime | None) -> int:
        if at is None:
            return self._now
        if self._last[0] != at:
            if at.tzinfo is None:
                msg = "a timestamp without a time zone"
                raise ValueError(msg)
            self._last = (at, int(at.timestamp()))
        return self._last[1]


def _statement(said: _InquiryReply, reader: Reader, clock: _Clock) -> Statement:
    try:
        observed_at = clock.seconds(said.observed_at)
        if said.outcome == "NOT_FOUND" and not said.assets and said.problem is None:
            return reader.not_found(said.item, observed_at)
        return reader.read(_message(said, observed_at))
    except (KeyError, ValueError, TypeError):  # a word that is none of ours, a number out of range
        return garbled(said.item)


def _message(said: _InquiryReply, observed_at: int) -> institution_pb2.InquiryReply:
    message = institution_pb2.InquiryReply(
        item=said.item, outcome=_OUTCOMES[said.outcome], assets=[_asset(asset) for asset in said.assets]
    )
    message.observed_at.seconds = observed_at
    if said.problem is not None:
        message.problem.reason = said.problem.reason
        message.problem.field = said.problem.field
        message.problem.message = said.problem.message
    return message


def _words(enum: Any, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): number for name, number in enum.items()}


_OUTCOMES = _words(inquiry_pb2.Outcome, "OUTCOME_")
_DOCUMENT_TYPES = _words(asset_pb2.DocumentType, "DOCUMENT_TYPE_")
_MEASURE_TYPES = _words(asset_pb2.MeasureType, "MEASURE_TYPE_")
_ACCOUNT_STATUSES = _words(asset_pb2.AccountStatus, "ACCOUNT_STATUS_")


def _asset(asset: _Asset) -> asset_pb2.Asset:
    return asset_pb2.Asset(
        holders=[
            asset_pb2.Holder(
                name=holder.name,
                document_type=_DOCUMENT_TYPES[holder.document_type],
                document_number=holder.document_number,
                share=holder.share,
            )
            for holder in asset.holders
        ],
        measures=[_measure(measure) for measure in asset.measures],
        **_details(asset),
    )


def _details(asset: _Asset) -> dict[str, Any]:
    """The one kind of details given; several are a `ValueError`, as a oneof can hold only one."""
    given = [(name, build(value)) for name, build in _BUILDERS.items() if (value := getattr(asset, name)) is not None]
    if len(given) > 1:
        msg = "an asset of several kinds"
        raise ValueError(msg)
    return dict(given)


def _measure(measure: _Measure) -> asset_pb2.JudicialMeasure:
    return asset_pb2.JudicialMeasure(
        type=_MEASURE_TYPES[measure.type],
        authority=measure.authority,
        document_number=measure.document_number,
        amount=_money(measure.amount),
        starts_on=_date(measure.starts_on),
        ends_on=_date(measure.ends_on),
        rank=measure.rank,
    )


def _account(account: _Account) -> asset_pb2.Account:
    return asset_pb2.Account(
        account_number=account.account_number,
        category=account.category,
        status=_ACCOUNT_STATUSES[account.status],
        branch=account.branch,
        opened_on=_date(account.opened_on),
        balance=_money(account.balance),
        available_balance=_money(account.available_balance),
    )


def _vehicle(vehicle: _Vehicle) -> asset_pb2.Vehicle:
    return asset_pb2.Vehicle(
        plate=vehicle.plate,
        vin=vehicle.vin,
        model=vehicle.model,
        registered_on=_date(vehicle.registered_on),
        inspection_valid_until=_date(vehicle.inspection_valid_until),
        mortgaged=vehicle.mortgaged,
    )


def _holding(holding: _Holding) -> asset_pb2.SecuritiesHolding:
    return asset_pb2.SecuritiesHolding(
        account_number=holding.account_number,
        security_code=holding.security_code,
        security_name=holding.security_name,
        quantity=holding.quantity,
        frozen_quantity=holding.frozen_quantity,
        custodian=holding.custodian,
        market_value=_money(holding.market_value),
    )


def _real_estate_unit(unit: _RealEstateUnit) -> asset_pb2.RealEstateUnit:
    return asset_pb2.RealEstateUnit(
        unit_number=unit.unit_number,
        certificate_number=unit.certificate_number,
        location=unit.location,
        usage=unit.usage,
        right_type=unit.right_type,
        area_square_metres=decimal_pb2.Decimal(value=unit.area_square_metres) if unit.area_square_metres else None,
        registered_on=_date(unit.registered_on),
        term_ends_on=_date(unit.term_ends_on),
    )


_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "account": _account,
    "vehicle": _vehicle,
    "holding": _holding,
    "real_estate_unit": _real_estate_unit,
}


def _money(money: _Money | None) -> money_pb2.Money | None:
    if money is None:
        return None
    return money_pb2.Money(currency_code=money.currency_code, units=money.units, nanos=money.nanos)


def _date(day: date | None) -> date_pb2.Date | None:
    return None if day is None else date_pb2.Date(year=day.year, month=day.month, day=day.day)
