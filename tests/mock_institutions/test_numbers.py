"""Number systems: valid, bijective, and the same one by one as in batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.cn import ric, uscc

from mock_institutions.mixing import mixed, mixed_all
from mock_institutions.numbers import (
    PERSONS,
    POPULATION,
    is_organisation_code,
    is_resident_id,
    organisation_code,
    organisation_index,
    resident_id,
    resident_index,
    resident_indices,
    spouse_id,
)
from mock_institutions.records import Kind
from mock_institutions.things import SLOTS, Permutation, number_system

persons = st.integers(0, PERSONS - 1)
organisations = st.integers(PERSONS, POPULATION - 1)
slots = st.integers(0, SLOTS - 1)
keys = st.integers(0, 2**64 - 1)
kinds: st.SearchStrategy[Kind] = st.sampled_from(("bank", "vehicle", "securities", "real_estate"))


def test_the_population_space_has_the_size_it_is_said_to_have() -> None:
    assert PERSONS == 31 * 20 * 20 * 25_568 * 1000
    assert POPULATION - PERSONS == 31 * 20 * 20 * 10**6


@given(persons)
def test_resident_identities_are_valid_and_lead_back(index: int) -> None:
    number = resident_id(index)
    assert ric.calc_check_digit(number) == number[17]
    assert is_resident_id(number)
    assert resident_index(number) == index


@given(organisations)
def test_organisation_codes_are_valid_and_lead_back(index: int) -> None:
    code = organisation_code(index)
    assert uscc.validate(code) == code
    assert is_organisation_code(code)
    assert is_organisation_code(code[8:17])
    assert organisation_index(code) == index


@given(persons)
def test_spouses_have_neighbouring_ordinals(index: int) -> None:
    assert spouse_id(resident_id(index)) == resident_id(index ^ 1)


@pytest.mark.parametrize("index", [0, PERSONS - 1])
def test_both_ends_of_the_persons(index: int) -> None:
    assert resident_indices([resident_id(index)]).tolist() == [index]


@given(st.lists(persons, min_size=1), st.integers(0, 17), st.sampled_from("0123456789X?京٣"))
def test_residents_are_read_in_batches_as_one_by_one(indices: list[int], place: int, wrong: str) -> None:
    numbers = [resident_id(index) for index in indices]
    numbers += [number[:place] + wrong + number[place + 1 :] for number in numbers]
    expected = [-1 if index is None else index for index in map(resident_index, numbers)]
    assert resident_indices(numbers).tolist() == expected


@given(st.lists(st.text("0123456789X", min_size=18, max_size=18), min_size=1))
def test_any_digits_are_read_in_batches_as_one_by_one(numbers: list[str]) -> None:
    expected = [-1 if index is None else index for index in map(resident_index, numbers)]
    assert resident_indices(numbers).tolist() == expected


@pytest.mark.parametrize(
    "number", ["", "1", "11010119900307123X4", "110101199013071234", "１１０１０１１９９００３０７１２３４"]
)
def test_what_is_no_resident_identity(number: str) -> None:
    assert not is_resident_id(number)
    assert resident_index(number) is None


@pytest.mark.parametrize("code", ["", "91", "I1350100M000100Y43", "91350100M000100Y40", "MA00000I"])
def test_what_is_no_organisation_code(code: str) -> None:
    assert not is_organisation_code(code)
    assert organisation_index(code) is None


@given(st.lists(keys, min_size=1))
def test_hashes_are_the_same_in_batches(values: list[int]) -> None:
    assert mixed_all(np.array(values, dtype=np.uint64)).tolist() == [mixed(value) for value in values]


@given(st.integers(1, 30), st.integers(1, 30), keys)
def test_a_permutation_is_a_bijection(high: int, low: int, key: int) -> None:
    permutation = Permutation(high, low, key)
    scattered = [permutation.scatter(ordinal) for ordinal in range(high * low)]
    assert sorted(scattered) == list(range(high * low))
    assert [permutation.gather(place) for place in scattered] == list(range(high * low))
    assert permutation.scatter_all(np.arange(high * low, dtype=np.uint64)).tolist() == scattered


@given(kinds, keys, slots)
def test_every_number_of_a_thing_leads_back(kind: Kind, key: int, slot: int) -> None:
    system = number_system(kind, key)
    for (subject_type, tracer), number in zip(system.tracers.items(), system.of(slot), strict=False):
        assert tracer(number) == slot, subject_type


@given(kinds, keys, st.lists(slots, min_size=1))
def test_things_are_numbered_in_batches_as_one_by_one(kind: Kind, key: int, many: list[int]) -> None:
    system = number_system(kind, key)
    expected = [tuple(number.encode() for number in system.of(slot)) for slot in many]
    assert list(zip(*system.of_all(np.array(many, dtype=np.uint64)), strict=True)) == expected


@given(kinds, keys, st.text(max_size=30))
def test_no_text_breaks_a_tracer(kind: Kind, key: int, text: str) -> None:
    system = number_system(kind, key)
    for tracer in system.tracers.values():
        slot = tracer(text)
        assert slot is None or text in system.of(slot)


@given(keys, slots)
def test_accounts_pass_luhn(key: int, slot: int) -> None:
    (number,) = number_system("bank", key).of(slot)
    assert len(number) == 19
    assert luhn.is_valid(number)


@given(keys, slots)
def test_vehicle_numbers_have_their_shape(key: int, slot: int) -> None:
    plate, vin = number_system("vehicle", key).of(slot)
    assert len(plate) == 8
    assert not set("IO") & set(plate)
    assert len(vin) == 17
    values = dict(zip("0123456789LZM", (*range(10), 3, 9, 4), strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(values.get(character, 0) * weight for character, weight in zip(vin, weights, strict=True))
    assert vin[8] == "0123456789X"[total % 11]


@given(keys, slots)
def test_unit_numbers_have_their_shape(key: int, slot: int) -> None:
    number, serial = number_system("real_estate", key).of(slot)
    assert len(number) == 28
    assert number[:12].isdigit()
    assert number[12:14] == "GB"
    assert number[14:19].isdigit()
    assert number[19] == "F"
    assert number[20:].isdigit()
    assert len(serial) == 8
