"""Assets from structs to protobuf: column by column, against messages of the generated classes."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from google.type import date_pb2, decimal_pb2, money_pb2

from benchmarks.alternatives.alternative import Alternative
from benchmarks.alternatives.sample import Sample

# What is compared is how these structs are written.
from broker.institutions.json_http import _write_assets
from broker.institutions.json_structs import (
    JsonAccount,
    JsonAsset,
    JsonHolder,
    JsonHolding,
    JsonMeasure,
    JsonMoney,
    JsonRealEstateUnit,
    JsonVehicle,
)
from broker.v1 import asset_pb2, institution_pb2

_DAYS = 1 << 16


class _Item(msgspec.Struct):
    assets: list[JsonAsset] = []


class _Body(msgspec.Struct):
    replies: list[_Item]


def alternatives(sample: Sample) -> list[Alternative]:
    """The assets of each FOUND answer in the JSON replies of four institutions, a reply at a time."""
    decode = msgspec.json.Decoder(_Body).decode
    replies = [[item.assets for item in decode(body).replies if item.assets] for body in sample.json_replies()]
    return [
        Alternative(
            part="institutions.struct_writer",
            task="write the assets of an answer",
            unit="FOUND answer",
            count=sum(map(len, replies)),
            library_way="build messages of the generated classes, SerializeToString",
            prepare=lambda _: replies,
            ours=lambda replies: [data for answers in replies for data in _write_assets(answers)],
            library=lambda replies: [_built(assets) for answers in replies for assets in answers],
            same=_same,
        )
    ]


def _same(ours: Sequence[bytes], library: Sequence[bytes]) -> bool:
    parse = institution_pb2.InquiryReply.FromString
    return list(map(parse, ours)) == list(map(parse, library))


def _built(assets: Sequence[JsonAsset]) -> bytes:
    return institution_pb2.InquiryReply(assets=map(_asset, assets)).SerializeToString()


_DOCUMENT_TYPES: dict[str, Any] = {
    name.removeprefix("DOCUMENT_TYPE_"): number for name, number in asset_pb2.DocumentType.items()
}
_MEASURE_TYPES: dict[str, Any] = {
    name.removeprefix("MEASURE_TYPE_"): number for name, number in asset_pb2.MeasureType.items()
}
_STATUSES: dict[str, Any] = {
    name.removeprefix("ACCOUNT_STATUS_"): number for name, number in asset_pb2.AccountStatus.items()
}


def _asset(asset: JsonAsset) -> asset_pb2.Asset:
    return asset_pb2.Asset(
        holders=map(_holder, asset.holders),
        measures=map(_measure, asset.measures),
        account=_account(asset.account) if asset.account else None,
        vehicle=_vehicle(asset.vehicle) if asset.vehicle else None,
        holding=_holding(asset.holding) if asset.holding else None,
        real_estate_unit=_real_estate_unit(asset.real_estate_unit) if asset.real_estate_unit else None,
    )


def _holder(holder: JsonHolder) -> asset_pb2.Holder:
    return asset_pb2.Holder(
        name=holder.name,
        document_type=_DOCUMENT_TYPES[holder.document_type],
        document_number=holder.document_number,
        share=holder.share,
    )


def _measure(measure: JsonMeasure) -> asset_pb2.JudicialMeasure:
    return asset_pb2.JudicialMeasure(
        type=_MEASURE_TYPES[measure.type],
        authority=measure.authority,
        document_number=measure.document_number,
        amount=_money(measure.amount),
        starts_on=_date(measure.starts_on),
        ends_on=_date(measure.ends_on),
        rank=measure.rank,
    )


def _account(account: JsonAccount) -> asset_pb2.Account:
    return asset_pb2.Account(
        account_number=account.account_number,
        category=account.category,
        status=_STATUSES[account.status],
        branch=account.branch,
        opened_on=_date(account.opened_on),
        balance=_money(account.balance),
        available_balance=_money(account.available_balance),
    )


def _vehicle(vehicle: JsonVehicle) -> asset_pb2.Vehicle:
    return asset_pb2.Vehicle(
        plate=vehicle.plate,
        vin=vehicle.vin,
        model=vehicle.model,
        registered_on=_date(vehicle.registered_on),
        inspection_valid_until=_date(vehicle.inspection_valid_until),
        mortgaged=vehicle.mortgaged,
    )


def _holding(holding: JsonHolding) -> asset_pb2.SecuritiesHolding:
    return asset_pb2.SecuritiesHolding(
        account_number=holding.account_number,
        security_code=holding.security_code,
        security_name=holding.security_name,
        quantity=holding.quantity,
        frozen_quantity=holding.frozen_quantity,
        custodian=holding.custodian,
        market_value=_money(holding.market_value),
    )


def _real_estate_unit(unit: JsonRealEstateUnit) -> asset_pb2.RealEstateUnit:
    area = unit.area_square_metres
    return asset_pb2.RealEstateUnit(
        unit_number=unit.unit_number,
        certificate_number=unit.certificate_number,
        location=unit.location,
        usage=unit.usage,
        right_type=unit.right_type,
        area_square_metres=decimal_pb2.Decimal(value=area) if area is not None else None,
        registered_on=_date(unit.registered_on),
        term_ends_on=_date(unit.term_ends_on),
    )


def _money(money: JsonMoney | None) -> money_pb2.Money | None:
    if money is None:
        return None
    return money_pb2.Money(currency_code=money.currency_code, units=money.units, nanos=money.nanos)


# As in struct_writer, where the encodings of dates are kept.
@lru_cache(maxsize=_DAYS)
def _date(day: date | None) -> date_pb2.Date | None:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day) if day else None
