"""What is written without messages parses to the message built honestly."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.institutions import json_http
from broker.institutions.struct_writer import field_writer
from broker.v1 import institution_pb2
from mock_institutions.protobuf_dialect import fill

ASSETS = institution_pb2.InquiryReply.DESCRIPTOR.fields_by_name["assets"]
write = field_writer(ASSETS, json_http._Asset)  # type: ignore[arg-type]  # upb's descriptors are not the stubs'

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
dates = st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31))
money = st.none() | st.builds(
    json_http._Money,
    units=st.integers(-(1 << 63), (1 << 63) - 1),
    currency_code=texts,
    nanos=st.integers(-999_999_999, 999_999_999),
)
holders = st.builds(
    json_http._Holder,
    name=texts,
    document_number=texts,
    document_type=st.sampled_from(["RESIDENT_ID", "PASSPORT", "ORGANIZATION_CODE"]),
    share=texts,
)
measures = st.builds(
    json_http._Measure,
    type=st.sampled_from(["FREEZE", "SEIZURE"]),
    authority=texts,
    document_number=texts,
    amount=money,
    starts_on=dates,
    ends_on=dates,
    rank=st.integers(0, (1 << 32) - 1),
)
details = st.one_of(
    st.fixed_dictionaries(
        {
            "account": st.builds(
                json_http._Account,
                account_number=texts,
                category=texts,
                status=st.sampled_from(["NORMAL", "FROZEN", "CLOSED"]),
                branch=texts,
                opened_on=dates,
                balance=money,
                available_balance=money,
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "vehicle": st.builds(
                json_http._Vehicle, plate=texts, vin=texts, model=texts, registered_on=dates, mortgaged=st.booleans()
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "holding": st.builds(
                json_http._Holding,
                account_number=texts,
                security_name=texts,
                quantity=st.integers(-(1 << 63), (1 << 63) - 1),
                market_value=money,
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "real_estate_unit": st.builds(
                json_http._RealEstateUnit, unit_number=texts, area_square_metres=st.none() | texts, term_ends_on=dates
            )
        }
    ),
)


@given(st.lists(holders, max_size=3), st.lists(measures, max_size=2), details)
def test_written_is_what_is_built(
    holders: list[json_http._Holder], measures: list[json_http._Measure], details: dict[str, object]
) -> None:
    asset = json_http._Asset(holders=holders, measures=measures, **details)  # type: ignore[arg-type]
    honest = institution_pb2.InquiryReply()
    fill(honest.assets.add(), replace(asset, holders=tuple(holders), measures=tuple(measures)))
    assert institution_pb2.InquiryReply.FromString(write(asset)) == honest


@pytest.mark.parametrize("number", [1 << 32, -1])
def test_a_number_the_contract_has_no_room_for_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        write(json_http._Asset(measures=(json_http._Measure(type="FREEZE", rank=number),)))


def test_a_word_the_contract_lacks_is_refused() -> None:
    with pytest.raises(KeyError):
        write(json_http._Asset(measures=(json_http._Measure(type="CONFISCATION"),)))
