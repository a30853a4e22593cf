"""Court codes, case numbers, mandates, and who reaches whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.court import (
    ENFORCEMENT,
    PROVINCES,
    XPCC,
    CaseNumber,
    parse_case_number,
    parse_court,
    reaches,
    read_mandate,
)
from broker.errors import InvalidRequestError
from broker.model import Court, Level, Mandate

GOOD = ("京0101", "李法官", "（2026）京0101执123号", "（2026）京0101执123号执行裁定书")

court_codes = st.one_of(
    st.just("最高法"),
    st.builds(
        lambda region, digits: region + digits,
        st.sampled_from(PROVINCES + XPCC + "内"),
        st.from_regex(r"([0-9]{2}){0,2}", fullmatch=True),
    ),
)
case_numbers = st.builds(
    CaseNumber,
    st.integers(1990, 2100),
    court_codes,
    st.sampled_from(sorted(ENFORCEMENT)),
    st.integers(1, 999_999_999),
    st.sampled_from(["", "之一", "之二", "之十一"]),
)


@pytest.mark.parametrize(
    ("code", "court"),
    [
        ("最高法", Court("最高法", Level.SUPREME, None)),
        ("京", Court("京", Level.HIGH, "京")),
        ("京01", Court("京01", Level.INTERMEDIATE, "京")),
        ("京0101", Court("京0101", Level.BASIC, "京")),
        ("兵0101", Court("兵0101", Level.BASIC, "兵")),
        ("内01", Court("内01", Level.INTERMEDIATE, "蒙")),
        (" 京０１０１\u3000", Court("京0101", Level.BASIC, "京")),
    ],
)
def test_court_code_tells_level_and_region(code: str, court: Court) -> None:
    assert parse_court(code) == court


@pytest.mark.parametrize(
    "code", ["", "京1", "京010", "京01010", "美01", "最高法01", "01", "京01 01", "京A1", "京٠١", "\ud800"]
)
def test_what_is_no_court_code_is_refused_with_a_remedy(code: str) -> None:
    with pytest.raises(ValueError, match="such as 京, 京01 or 京0101"):
        parse_court(code)


def test_every_region_has_courts() -> None:
    assert len(PROVINCES) == len(set(PROVINCES)) == 31
    assert {parse_court(region).region for region in PROVINCES + XPCC} == set(PROVINCES + XPCC)


@pytest.mark.parametrize(
    ("code", "region", "expected"),
    [
        ("京0101", None, True),
        ("京0101", "京", True),
        ("京0101", "沪", False),
        ("新01", "兵", False),
        ("最高法", "沪", True),
        ("最高法", None, True),
        ("内01", "蒙", True),
    ],
)
def test_regional_institutions_are_reached_by_their_region_only(code: str, region: str | None, expected: bool) -> None:
    assert reaches(parse_court(code), region) is expected


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("（2026）京0101执恢123号之一", CaseNumber(2026, "京0101", "执恢", 123, "之一")),
        ("(2026)京0101执123号", CaseNumber(2026, "京0101", "执", 123)),
        ("〔２０２６〕京０１０１执１２３号", CaseNumber(2026, "京0101", "执", 123)),
        (" （2026） 京01 执异 7 号 ", CaseNumber(2026, "京01", "执异", 7)),
        ("（2026）最高法执监5号", CaseNumber(2026, "最高法", "执监", 5)),
        ("（1990）兵执保00012号", CaseNumber(1990, "兵", "执保", 12)),
    ],
)
def test_case_numbers_are_read_in_any_brackets_and_width(text: str, case: CaseNumber) -> None:
    assert parse_case_number(text) == case


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as"),
        ("京0101执123号", "such as"),
        ("（2026）京0101执123", "such as"),
        ("（2026）美0101执123号", "such as"),
        ("（2026）京0101执123号之", "such as"),
        ("（2026）京0101执123号之一\n（2026）京0101执124号", "such as"),
        ("（1989）京0101执123号", "1990 to 2100"),
        ("（2101）京0101执123号", "1990 to 2100"),
        ("（2026）京0101民初123号", "enforcement case"),
        ("（2026）京0101刑初123号", "enforcement case"),
        ("（2026）京0101执0号", "serial number"),
    ],
)
def test_what_is_no_enforcement_case_is_refused_with_a_remedy(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_case_number(text)


@given(case_numbers)
def test_canonical_case_numbers_survive_a_round_trip(case: CaseNumber) -> None:
    assert parse_case_number(str(case)) == case


@given(st.text())
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (parse_court, parse_case_number):
        try:
            read(text)
        except ValueError as error:
            assert "must" in str(error)  # noqa: PT017 - either outcome is right


def test_a_mandate_comes_out_in_its_official_spelling() -> None:
    mandate = read_mandate(" 京０１０１", " 李法官 ", "(2026)京0101执123号", " 裁定书 ")
    assert mandate == Mandate(Court("京0101", Level.BASIC, "京"), "李法官", "（2026）京0101执123号", "裁定书")


@given(case_numbers)
def test_every_court_may_ask_in_its_own_cases(case: CaseNumber) -> None:
    assert read_mandate(case.court_code, "李", str(case), "裁定书").case_number == str(case)


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
