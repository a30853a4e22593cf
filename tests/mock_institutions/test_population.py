"""The population: stable, at the rates promised, and the same from both ends."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.v1 import investigation_pb2
from mock_institutions.findings import Finding, Findings, Holding
from mock_institutions.numbers import PERSONS
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_dialect import fill
from mock_institutions.records import Answer, Asset
from mock_institutions.registry import Institution
from mock_institutions.things import number_system

from .conftest import INSTITUTIONS, SEED


def answer(population: Population, institution: Institution, lookup: Lookup) -> Answer:
    return population.answer(institution, *lookup[1:])


def things_of(asset: Asset) -> list[tuple[str, str]]:
    """Types and numbers by which an asset can be asked for."""
    if asset.account:
        return [("BANK_ACCOUNT", asset.account.account_number)]
    if asset.vehicle:
        return [("VEHICLE_PLATE", asset.vehicle.plate), ("VEHICLE_VIN", asset.vehicle.vin)]
    if asset.holding:
        return [("SECURITIES_ACCOUNT", asset.holding.account_number)]
    assert asset.real_estate_unit
    return [("REAL_ESTATE_UNIT", asset.real_estate_unit.unit_number)]


def test_the_answers_of_a_seed_never_change() -> None:
    """Reports and fixtures rest on these: a change here is a new population."""
    population = Population(1)
    bank = Institution("mock-bank", "bank", 0.30)
    assert population.person(0) == GOLDEN_PERSON
    assert population.person(PERSONS) == GOLDEN_ORGANISATION
    assert next(population.sample(1, 1, "properties", [bank])) == GOLDEN_ACCOUNT


GOLDEN_PERSON = ("RESIDENT_ID", "110101194001010004", "戴强然")
GOLDEN_ORGANISATION = ("ORGANIZATION_CODE", "91110101MA0000007T", "重庆新源贸易有限公司")
GOLDEN_ACCOUNT = ("0000001", "BANK_ACCOUNT", "6207798355840257132", "")


def test_equal_seeds_give_equal_answers(institution: Institution, subjects: list[Lookup]) -> None:
    first, second = Population(SEED), Population(SEED)
    assert [answer(first, institution, each) for each in subjects] == [
        answer(second, institution, each) for each in subjects
    ]


@given(st.lists(st.integers(0, PERSONS - 1), max_size=50))
def test_many_residents_are_those_one_by_one(population: Population, indices: list[int]) -> None:
    numbers, names = population.residents(np.array(indices, dtype=np.int64))
    persons = [population.person(index) for index in indices]
    assert list(zip(numbers, names, strict=True)) == [(person.number, person.name) for person in persons]


def test_encoded_answers_say_what_the_answers_say(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    _, types, numbers, names = zip(*subjects, strict=True)
    encoded = population.encoded_answers(institution, types, numbers, names)
    for each, said in zip(subjects, encoded, strict=True):
        expected = investigation_pb2.Answer()
        fill(expected, answer(population, institution, each))
        assert investigation_pb2.Answer.FromString(said) == expected
        assert said == expected.SerializeToString(deterministic=True)


def test_another_seed_is_another_population() -> None:
    assert list(Population(1).sample(50, 1, "persons")) != list(Population(2).sample(50, 1, "persons"))


def test_hit_rates(population: Population, institution: Institution) -> None:
    sample = list(population.sample(20_000, 5, "persons"))
    _, subject_types, numbers, names = zip(*sample, strict=True)
    findings = population.registry(institution).find_all(subject_types, numbers, names)
    # Four standard deviations of 20,000 draws are 0.013.
    assert len(set(findings.holdings.rows)) / len(numbers) == pytest.approx(institution.hit_rate, abs=0.013)


@pytest.mark.parametrize("hit_rate", [0.0, 1.0])
def test_extreme_hit_rates(population: Population, hit_rate: float) -> None:
    for kind in ("bank", "real_estate"):
        institution = Institution("extreme", kind, hit_rate)
        outcomes = {answer(population, institution, each).outcome for each in population.sample(50, 1, "persons")}
        assert outcomes == {"FOUND" if hit_rate else "NOT_FOUND"}


def row_by_row(findings: Findings) -> list[Finding]:
    """The columns of a batch as what was found for each row."""
    rows: list[tuple[Holding, ...]] = [()] * len(findings.persons)
    held = findings.holdings
    holders = zip(held.document_types, held.document_numbers, held.names, strict=True)
    things = zip(held.rows, held.variants, zip(*held.numbers, strict=True), holders, strict=True)
    for place, (row, variant, numbers, holder) in enumerate(things):
        others = (held.others[place],) if place in held.others else ()
        rows[row] += (Holding(numbers, variant, (holder, *others)),)
    return [findings.refusals.get(row, holdings) for row, holdings in enumerate(rows)]


def test_batches_are_answered_as_one_by_one(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    registry = population.registry(institution)
    for part in (subjects, subjects[:150], subjects[:3], subjects[-10:], subjects[:0]):
        subject_types = [each.type for each in part]
        numbers, names = [each.number for each in part], [each.name for each in part]
        expected = [registry.find(*each[1:]) for each in part]
        assert row_by_row(registry.find_all(subject_types, numbers, names)) == expected


def test_what_somebody_owns_names_its_owners(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    """From a person to things and back: the same asset, and the person among its holders."""
    assets = 0
    for each in subjects[:240]:
        for asset in answer(population, institution, each).assets:
            assets += 1
            assert (each.number, each.name) in [(holder.document_number, holder.name) for holder in asset.holders]
            for subject_type, number in things_of(asset):
                assert population.answer(institution, subject_type, number).assets == (asset,)  # type: ignore[arg-type]
    assert assets > 20


def test_who_holds_a_thing_owns_it(population: Population, institution: Institution, subjects: list[Lookup]) -> None:
    """From a thing to its holders and back: each of them is told the same asset."""
    for each in subjects[240:280]:
        (asset,) = answer(population, institution, each).assets
        for holder in asset.holders:
            owned = population.answer(institution, holder.document_type, holder.document_number, holder.name)
            assert asset in owned.assets


def test_spouses_hold_some_real_estate_together(population: Population) -> None:
    land = INSTITUTIONS[3]
    shared = [
        asset
        for each in population.sample(300, 1, "persons")
        for asset in answer(population, land, each).assets
        if len(asset.holders) == 2
    ]
    assert shared
    for asset in shared:
        first, second = asset.holders
        assert first.share == second.share == "1/2"
        assert first.document_number[:16] == second.document_number[:16]


def test_only_the_details_of_the_kind_are_given(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    detail = {"bank": "account", "securities": "holding"}.get(institution.kind, institution.kind)
    detail = {"real_estate": "real_estate_unit"}.get(detail, detail)
    for each in subjects:
        for asset in answer(population, institution, each).assets:
            assert set(msgspec.to_builtins(asset)) - {"holders", "measures"} == {detail}


def test_frozen_money_is_not_available(population: Population) -> None:
    frozen = 0
    for each in population.sample(400, 9, "properties", [INSTITUTIONS[0]]):
        (asset,) = answer(population, INSTITUTIONS[0], each).assets
        account = asset.account
        assert account
        balance = account.balance.units + account.balance.nanos / 1e9
        available = account.available_balance.units + account.available_balance.nanos / 1e9
        assert (available < balance) == bool(asset.measures)
        assert [measure.rank for measure in asset.measures] == list(range(1, len(asset.measures) + 1))
        frozen += bool(asset.measures)
    assert frozen


@pytest.mark.parametrize(
    ("subject_type", "number", "name", "outcome", "field"),
    [
        ("RESIDENT_ID", "990101199001010019", "外人", "NOT_FOUND", None),
        ("RESIDENT_ID", "110101199003071234", "某人", "INVALID", "number"),
        ("PASSPORT", "E12345678", "外人", "NOT_FOUND", None),
        ("MILITARY_ID", "", "外人", "INVALID", "number"),
        ("ORGANIZATION_CODE", "91350100M000100Y43", "外地公司", "NOT_FOUND", None),
        ("ORGANIZATION_CODE", "91350100M000100Y44", "外地公司", "INVALID", "number"),
        ("BANK_ACCOUNT", "6222020000000000000", "", "NOT_FOUND", None),
        ("VEHICLE_VIN", "LZM00000000000000", "", "INVALID", "subject_type"),
    ],
)
def test_what_a_bank_says_to_strangers(
    population: Population, subject_type: str, number: str, name: str, outcome: str, field: str | None
) -> None:
    said = population.answer(INSTITUTIONS[0], subject_type, number, name)  # type: ignore[arg-type]
    assert said.outcome == outcome
    assert (said.problem.field if said.problem else None) == field


def test_another_name_is_refused_everywhere(population: Population, institution: Institution) -> None:
    for mix in ("persons", "organisations"):
        (known,) = population.sample(1, 1, mix)
        said = answer(population, institution, known._replace(name="别人"))
        assert said.outcome == "REFUSED"
        assert said.problem
        assert (said.problem.reason, said.problem.field) == ("NAME_MISMATCH", "name")
        assert known.number not in said.problem.message


def test_banks_do_not_share_accounts(population: Population) -> None:
    other = Institution("bank-b", "bank", 0.30)
    lookups = list(population.sample(50, 4, "properties", [other]))
    assert {answer(population, other, each).outcome for each in lookups} == {"FOUND"}
    assert {answer(population, INSTITUTIONS[0], each).outcome for each in lookups} == {"NOT_FOUND"}


def test_samples_are_repeatable_and_mixed(population: Population) -> None:
    lookups = list(population.sample(400, 3, "all", INSTITUTIONS))
    assert lookups == list(population.sample(400, 3, "all", INSTITUTIONS))
    assert len({each.ref for each in lookups}) == 400
    assert {"RESIDENT_ID", "ORGANIZATION_CODE", "VEHICLE_PLATE", "BANK_ACCOUNT"} <= {each.type for each in lookups}
    assert all(bool(each.name) == (each.type in {"RESIDENT_ID", "ORGANIZATION_CODE"}) for each in lookups)


def test_the_space_of_things_has_room_for_all_slots() -> None:
    assert number_system("vehicle", 1).of(0) != number_system("vehicle", 2).of(0)
