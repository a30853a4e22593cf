"""Mandates: official spelling, the court's own cases, and every violation with its remedy."""

import pytest
from hypothesis import given

from broker.core.subjects.case_number import CaseNumber, CaseNumbering, OldCaseNumber
from broker.core.subjects.mandate import read_mandate
from broker.errors import InvalidRequestError
from broker.model import Court, Level, Mandate
from tests.core.subjects.test_case_number import case_numbers, old_case_numbers

GOOD = ("京0101", "李法官", "（2026）京0101执123号", "（2026）京0101执123号执行裁定书")
SIGNS = CaseNumbering({"瑶": ["皖0111"], "鼓": ["苏0106", "闽0102"]})


def test_a_mandate_comes_out_in_its_official_spelling() -> None:
    mandate = read_mandate(" 京０１０１", " 李法官 ", "(2026)京0101执123号", " 裁定书 ")
    assert mandate == Mandate(Court("京0101", Level.BASIC, "京"), "李法官", "（2026）京0101执123号", "裁定书")


@given(case_numbers | old_case_numbers)
def test_every_court_may_ask_in_its_own_cases(case: CaseNumber | OldCaseNumber) -> None:
    (code,) = case.courts
    assert read_mandate(code, "李", str(case), "裁定书").case_number == str(case)


@pytest.mark.parametrize(
    ("court", "number"),
    [
        ("皖0111", "（2015）瑶执字第02181号"),
        ("苏0106", "（2015）鼓执字第2181号"),
        ("闽0102", "（2015）鼓执字第2181号"),
        ("皖1202", "（2003）皖1202执字第00174号"),
        ("最高法", "（2014）执申字第12号"),
        ("军01", "（2026）军01执1号"),
    ],
)
def test_old_numbers_are_accepted_of_courts_whose_signs_are_known(court: str, number: str) -> None:
    assert read_mandate(court, "李", number, "裁定书", SIGNS).case_number == number


@pytest.mark.parametrize(
    ("court", "number", "says"),
    [
        ("皖0111", "（2015）朝执字第2181号", "courts.signs"),
        ("皖0102", "（2015）瑶执字第02181号", "court that asks"),
        ("苏0102", "（2015）鼓执字第2181号", "court that asks"),
        ("皖1203", "（2003）皖1202执字第00174号", "court that asks"),
        ("京0101", "（2014）执申字第12号", "court that asks"),
    ],
)
def test_old_numbers_are_refused_of_other_courts_and_with_unknown_signs(court: str, number: str, says: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_mandate(court, "李", number, "裁定书", SIGNS)
    (violation,) = caught.value.violations
    assert violation.field == "mandate.case_number"
    assert says in violation.description


@pytest.mark.parametrize(
    ("position", "value", "field", "says"),
    [
        (0, "", "court_code", "must be a court's code"),
        (0, "京0101" + " " * 1000, "court_code", "far too long"),
        (1, " \u3000", "officer", "required"),
        (1, "李" * 101, "officer", "at most 100"),
        (1, "李" + " " * 1000, "officer", "at most 100"),
        (1, "李\n法官", "officer", "control characters"),
        (1, "李\ud800", "officer", "control characters"),
        (2, "", "case_number", "must be a case number"),
        (2, "（2026）沪0101执123号", "case_number", "court that asks"),
        (2, "（2026）京01执123号", "case_number", "court that asks"),
        (2, "（2026）京0101民初123号", "case_number", "enforcement case"),
        (1, "李\u200b法官", "officer", "invisible"),
        (2, "（2012）京0101执123号", "case_number", "begin in 2016"),
        (3, "", "legal_document", "required"),
        (3, "书" * 201, "legal_document", "at most 200"),
        (3, "裁定\x00书", "legal_document", "control characters"),
    ],
)
def test_each_violation_names_its_field_and_the_remedy(position: int, value: str, field: str, says: str) -> None:
    fields = [*GOOD]
    fields[position] = value
    with pytest.raises(InvalidRequestError) as caught:
        read_mandate(*fields)
    [violation] = caught.value.violations
    assert violation.field == f"mandate.{field}"
    assert says in violation.description


def test_the_longest_texts_allowed_are_allowed() -> None:
    mandate = read_mandate(GOOD[0], "李" * 100, GOOD[2], "书" * 200)
    assert (len(mandate.officer), len(mandate.legal_document)) == (100, 200)


def test_all_violations_are_told_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_mandate("", "", "", "")
    assert [violation.field for violation in caught.value.violations] == [
        "mandate.court_code",
        "mandate.case_number",
        "mandate.officer",
        "mandate.legal_document",
    ]


def test_a_mandate_read_again_is_the_same_object_and_a_refusal_is_not_remembered() -> None:
    assert read_mandate(*GOOD) is read_mandate(*GOOD)
    before = read_mandate.cache_info().currsize
    with pytest.raises(InvalidRequestError):
        read_mandate("京", "李", "（2026）沪执1号", "裁定书")
    assert read_mandate.cache_info().currsize == before
