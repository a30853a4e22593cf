"""What is written without messages parses to the message built honestly."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from broker.institutions.struct_writer import Word, field_writer
from broker.v1 import institution_pb2
from mock_institutions.protobuf_dialect import fill

ASSETS = institution_pb2.InquiryReply.DESCRIPTOR.fields_by_name["assets"]
write = field_writer(ASSETS, list[JsonAsset])  # type: ignore[arg-type]  # upb's descriptors are not the stubs'

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
dates = st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31))
amounts = st.integers(0, 999_999_999).flatmap(
    lambda nanos: st.builds(JsonMoney, units=st.integers(0, (1 << 63) - 1), currency_code=texts, nanos=st.just(nanos))
)
debts = st.integers(-999_999_999, 0).flatmap(
    lambda nanos: st.builds(JsonMoney, units=st.integers(-(1 << 63), 0), currency_code=texts, nanos=st.just(nanos))
)
money = st.none() | amounts | debts
decimals = st.from_regex(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", fullmatch=True, alphabet="0123456789+-.eE")
holders = st.builds(
    JsonHolder,
    name=texts,
    document_number=texts,
    document_type=st.sampled_from(["RESIDENT_ID", "PASSPORT", "ORGANIZATION_CODE"]),
    share=texts,
)
measures = st.builds(
    JsonMeasure,
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
                JsonAccount,
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
                JsonVehicle,
                plate=texts,
                vin=texts,
                model=texts,
                registered_on=dates,
                mortgaged=st.booleans(),
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "holding": st.builds(
                JsonHolding,
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
                JsonRealEstateUnit,
                unit_number=texts,
                area_square_metres=st.none() | decimals,
                term_ends_on=dates,
            )
        }
    ),
)


assets = st.builds(
    lambda holders, measures, given: JsonAsset(holders=tuple(holders), measures=tuple(measures), **given),
    st.lists(holders, max_size=3),
    st.lists(measures, max_size=2),
    details,
)


@given(st.lists(st.lists(assets, max_size=3), max_size=3))
def test_written_is_what_is_built(answers: list[list[JsonAsset]]) -> None:
    written = write(answers)
    assert len(written) == len(answers)
    for answer, data in zip(answers, written, strict=True):
        honest = institution_pb2.InquiryReply()
        for asset in answer:
            fill(honest.assets.add(), asset)
        assert institution_pb2.InquiryReply.FromString(data) == honest


def test_what_is_long_has_its_length() -> None:
    holder = JsonHolder(document_number="1" * 5_000, name="长" * 40_000)
    details = JsonAccount(account_number="1", branch=Word("行" * 500))
    written = institution_pb2.InquiryReply.FromString(write([[JsonAsset(holders=(holder,), account=details)]])[0])
    assert written.assets[0].account.branch == details.branch
    assert written.assets[0].holders[0].document_number == holder.document_number
    assert written.assets[0].holders[0].name == holder.name


@pytest.mark.parametrize("number", [1 << 32, -1])
def test_a_number_the_contract_has_no_room_for_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        write([[JsonAsset(measures=(JsonMeasure(type="FREEZE", rank=number),))]])


def test_a_word_the_contract_lacks_is_refused() -> None:
    with pytest.raises(KeyError):
        write([[JsonAsset(measures=(JsonMeasure(type="CONFISCATION"),))]])
