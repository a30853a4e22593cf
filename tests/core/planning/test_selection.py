"""Whom a request asks: who can be reached, who was named, and who can say something about which subject."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.selection import Selector, select
from broker.core.wire import record
from broker.errors import InvalidRequestError
from broker.institutions.stub import stub_spec
from broker.model import ALL_KINDS, KINDS_ASKED, PROPERTY_TYPES, Court, InstitutionSpec, Kind, Level, SubjectType

SUPREME = Court("最高法", Level.SUPREME, None)
JING = Court("京0101", Level.BASIC, "京")
HU = Court("沪01", Level.INTERMEDIATE, "沪")
REGISTRY = (
    stub_spec("securities", kind=Kind.SECURITIES),
    stub_spec("bank-jing", kind=Kind.BANK, region="京"),
    stub_spec("bank", kind=Kind.BANK),
    stub_spec("vehicle", kind=Kind.VEHICLE),
    stub_spec("bank-hu", kind=Kind.BANK, region="沪"),
    stub_spec("land-hu", kind=Kind.REAL_ESTATE, region="沪"),
)


def chosen(court: Court, ids: Sequence[str] = (), kinds: frozenset[Kind] = frozenset()) -> list[str]:
    return [spec.id for spec in select(REGISTRY, court, ids=ids, kinds=kinds).institutions]


@pytest.mark.parametrize(
    ("court", "ids", "kinds", "expected"),
    [
        pytest.param(JING, (), (), ["bank", "bank-jing", "securities", "vehicle"], id="all it can reach, by id"),
        pytest.param(HU, (), (), ["bank", "bank-hu", "land-hu", "securities", "vehicle"], id="another region"),
        pytest.param(JING, ("vehicle", "bank"), (), ["bank", "vehicle"], id="those named"),
        pytest.param(JING, ("bank", "bank"), (), ["bank"], id="named twice"),
        pytest.param(HU, (), (Kind.BANK,), ["bank", "bank-hu"], id="those of a kind"),
        pytest.param(HU, (), (Kind.BANK, Kind.REAL_ESTATE), ["bank", "bank-hu", "land-hu"], id="of two kinds"),
        pytest.param(HU, ("bank-hu",), (Kind.BANK,), ["bank-hu"], id="named, and of the kind"),
    ],
)
def test_who_is_asked(court: Court, ids: tuple[str, ...], kinds: tuple[Kind, ...], expected: list[str]) -> None:
    assert chosen(court, ids, frozenset(kinds)) == expected


@pytest.mark.parametrize(
    ("court", "ids", "kinds", "fields"),
    [
        pytest.param(JING, ("nobody",), (), ["institution_ids[0]"], id="unknown"),
        pytest.param(JING, ("bank", "bank-hu"), (), ["institution_ids[1]"], id="out of reach"),
        pytest.param(JING, ("bank",), (Kind.VEHICLE,), ["institution_ids[0]"], id="not of the kind"),
        pytest.param(JING, ("x", "bank", "y"), (), ["institution_ids[0]", "institution_ids[2]"], id="all at once"),
        pytest.param(JING, (), (Kind.REAL_ESTATE,), ["kinds"], id="nobody of the kind in reach"),
    ],
)
def test_what_cannot_be_asked_is_named(
    court: Court, ids: tuple[str, ...], kinds: tuple[Kind, ...], fields: list[str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chosen(court, ids, frozenset(kinds))
    assert [violation.field for violation in caught.value.violations] == fields


def test_a_long_id_is_not_repeated_at_length() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chosen(JING, ["x" * 10_000])
    assert len(str(caught.value)) < 200


def test_the_supreme_court_reaches_national_institutions_only_or_all() -> None:
    everybody = chosen(SUPREME)
    assert {"bank", "securities", "vehicle"} <= set(everybody)


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(Kind)), min_size=1, unique_by=lambda one: one[0]))
def test_a_choice_is_the_columns_that_can_tell(institutions: list[tuple[int, Kind]]) -> None:
    registry: list[InstitutionSpec] = [stub_spec(f"i{number}", kind=kind) for number, kind in institutions]
    selection = select(registry, JING)
    assert set(selection.choices) == set(map(int, SubjectType))
    for subject_type in SubjectType:
        choice = selection.choices[subject_type]
        asked = [c for c, spec in enumerate(selection.institutions) if spec.kind in KINDS_ASKED[subject_type]]
        keys = [record.institution_key(selection.institutions[column].id) for column in asked]
        assert list(choice.columns) == asked
        assert list(choice.institutions) == keys
        assert choice.fingerprint == record.fingerprint(keys)
        assert choice.body_at == record.body_at(len(asked))
        assert [column for column, cell in enumerate(choice.blank) if cell is None] == asked
        assert {cell for cell in choice.blank if cell is not None} <= {b""}


def test_types_asked_alike_share_one_choice() -> None:
    choices = select(REGISTRY, HU).choices
    assert choices[SubjectType.RESIDENT_ID] is choices[SubjectType.PASSPORT]
    assert choices[SubjectType.VEHICLE_PLATE] is choices[SubjectType.VEHICLE_VIN]
    assert choices[SubjectType.BANK_ACCOUNT] is not choices[SubjectType.RESIDENT_ID]


def test_persons_are_asked_about_everywhere_and_things_where_they_are_registered() -> None:
    for subject_type, kinds in KINDS_ASKED.items():
        assert len(kinds) == 1 if subject_type in PROPERTY_TYPES else kinds == ALL_KINDS


def test_a_selector_remembers_what_courts_share() -> None:
    selector = Selector([stub_spec("a"), stub_spec("b")])
    basic, high = Court("京0101", Level.BASIC, "京"), Court("京", Level.HIGH, "京")
    assert selector.select(basic) is selector.select(high)
    assert selector.select(basic, ids=["a"]) is not selector.select(basic)


def test_a_selector_does_not_remember_what_callers_make_up() -> None:
    selector = Selector([stub_spec("a")])
    court = Court("京", Level.HIGH, "京")
    many = ["a"] * 100
    assert selector.select(court, ids=many) is not selector.select(court, ids=many)
    for number in range(3_000):
        selector.select(court, ids=["a"] * (number % 60 + 1))
    assert len(selector._remembered) <= 1024
