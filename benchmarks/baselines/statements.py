"""Converts an institution's JSON to protobuf, by the generated messages' own constructors."""

from datetime import datetime
from typing import Any

from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb

_Json = dict[str, Any]


def read_answer(institution_id: str, reply: _Json) -> pb.Answer:
    """Converts an `InquiryReply` of the JSON dialect to an `Answer`. Raises KeyError or ValueError if malformed."""
    answer = pb.Answer(
        institution_id=institution_id,
        outcome="OUTCOME_" + reply["outcome"],
        problem=reply.get("problem"),
        assets=[_asset(asset) for asset in reply.get("assets", ())],
    )
    answer.observed_at.seconds = int(datetime.fromisoformat(reply["observed_at"]).timestamp())
    return answer


def _asset(asset: _Json) -> asset_pb2.Asset:
    message = asset_pb2.Asset(
        holders=[_holder(holder) for holder in asset["holders"]],
        measures=[_measure(measure) for measure in asset.get("measures", ())],
    )
    match asset:
        case {"account": details}:
            message.account.CopyFrom(_account(details))
        case {"vehicle": details}:
            message.vehicle.CopyFrom(_vehicle(details))
        case {"holding": details}:
            message.holding.CopyFrom(asset_pb2.SecuritiesHolding(**details))
        case {"real_estate_unit": details}:
            message.real_estate_unit.CopyFrom(_real_estate_unit(details))
    return message


def _holder(holder: _Json) -> asset_pb2.Holder:
    return asset_pb2.Holder(**holder | {"document_type": "DOCUMENT_TYPE_" + holder["document_type"]})


def _measure(measure: _Json) -> asset_pb2.JudicialMeasure:
    return asset_pb2.JudicialMeasure(
        **_dated(measure, "starts_on", "ends_on") | {"type": "MEASURE_TYPE_" + measure["type"]}
    )


def _account(details: _Json) -> asset_pb2.Account:
    return asset_pb2.Account(**_dated(details, "opened_on") | {"status": "ACCOUNT_STATUS_" + details["status"]})


def _vehicle(details: _Json) -> asset_pb2.Vehicle:
    return asset_pb2.Vehicle(**_dated(details, "registered_on", "inspection_valid_until"))


def _real_estate_unit(details: _Json) -> asset_pb2.RealEstateUnit:
    area = {"area_square_metres": {"value": details["area_square_metres"]}}
    return asset_pb2.RealEstateUnit(**_dated(details, "registered_on", "term_ends_on") | area)


def _dated(record: _Json, *fields: str) -> _Json:
    """The record with these fields, such as 2026-01-31, as google.type.Date has them."""
    return record | {
        field: dict(zip(("year", "month", "day"), map(int, record[field].split("-")), strict=True)) for field in fields
    }
