"""Our JSON of a report equals protobuf's own."""

import json
from typing import Any

from google.protobuf import json_format
from google.type import money_pb2
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.report_json import report_line
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb

texts = st.text(max_size=5)
money = st.builds(
    lambda units, nanos: {"currency_code": "CNY", "units": units, "nanos": nanos},
    st.integers(-9, 2**60),
    st.integers(0, 9),
)


@st.composite
def assets(draw: st.DrawFn) -> asset_pb2.Asset:
    document_type: Any = draw(st.sampled_from([0, 1, 6]))
    asset = asset_pb2.Asset(holders=[asset_pb2.Holder(name=draw(texts), document_type=document_type)])
    match draw(st.integers(0, 3)):
        case 0:
            asset.account.CopyFrom(asset_pb2.Account(account_number=draw(texts), balance=draw(money)))
            asset.account.opened_on.year = 2020
        case 1:
            asset.vehicle.CopyFrom(asset_pb2.Vehicle(plate=draw(texts), mortgaged=draw(st.booleans())))
        case 2:
            asset.holding.CopyFrom(asset_pb2.SecuritiesHolding(quantity=draw(st.integers(-5, 2**62))))
        case _:
            asset.real_estate_unit.area_square_metres.value = draw(texts)
    return asset


@st.composite
def reports(draw: st.DrawFn) -> pb.Report:
    report = pb.Report(ref=draw(texts), position=draw(st.integers(0, 9)), final=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        answer: Any = report.answers.add(institution_id=draw(texts), outcome=draw(st.integers(0, 9)))
        answer.assets.extend(draw(st.lists(assets(), max_size=2)))
        answer.observed_at.seconds = draw(st.integers(1, 2**33))
        answer.observed_at.nanos = draw(st.sampled_from([0, 1, 1_000_000]))
    if draw(st.booleans()):
        report.warnings.append(inquiry_pb2.Problem(reason=draw(texts)))
    return report


def without_empty(value: Any) -> Any:
    """Without members that are messages without content."""
    if isinstance(value, list):
        return [without_empty(one) for one in value]
    if isinstance(value, dict):
        return {name: without_empty(one) for name, one in value.items() if one != {} or name in CASES}
    return value


CASES = {"account", "vehicle", "holding", "real_estate_unit"}


@given(reports())
def test_it_is_the_same_as_protobufs_own(report: pb.Report) -> None:
    theirs = json_format.MessageToDict(report, preserving_proto_field_name=True)
    assert json.loads(report_line(report, {})) == without_empty(theirs)


def test_other_columns_are_added() -> None:
    assert report_line(pb.Report(ref="1"), {"备注": "急"}) == '{"ref":"1","input":{"备注":"急"}}\n'.encode()


def test_measures_and_problems_are_converted() -> None:
    report = pb.Report(ref="1", final=True)
    answer = report.answers.add(institution_id="bank", outcome="OUTCOME_FOUND", found_as="甲")
    measure = answer.assets.add().measures.add(type="MEASURE_TYPE_FREEZE", authority="京", rank=2)
    measure.amount.CopyFrom(money_pb2.Money(currency_code="CNY", units=5))
    measure.starts_on.year = 2026
    report.answers.add(outcome="OUTCOME_INVALID", problem=inquiry_pb2.Problem(reason="EMPTY", field="person.name"))
    theirs = json_format.MessageToDict(report, preserving_proto_field_name=True)
    assert json.loads(report_line(report, {})) == theirs
