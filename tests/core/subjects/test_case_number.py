"""Case numbers: both forms, every type, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.case_number import (
    ENFORCEMENT,
    CaseNumber,
    CaseNumbering,
    OldCaseNumber,
    parse_case_number,
)
from broker.core.subjects.court import MILITARY, PROVINCES, XPCC

court_codes = st.one_of(
    st.just("最高法"),
    st.builds(
        lambda region, digits: region + digits,
        st.sampled_from(PROVINCES + XPCC + MILITARY + "内"),
        st.from_regex(r"([0-9]{2}){0,2}", fullmatch=True),
    ),
)
parts = st.sampled_from(["", "之一", "之二", "之十一", "之1", "-1"])
case_numbers = st.builds(
    CaseNumber,
    st.integers(2016, 2100),
    court_codes,
    st.sampled_from(sorted(ENFORCEMENT)),
    st.integers(1, 999_999_999),
    parts,
    parts,
)
old_case_numbers = st.builds(
    lambda year, court, kind, serial, suffix: OldCaseNumber(year, court + kind, serial, frozenset({court}), suffix),
    st.integers(1990, 2015),
    court_codes,
    st.sampled_from(["执", "执恢", "恢执", "执行", "法执", "执异"]),
    st.from_regex("[0-9]{0,7}[1-9]", fullmatch=True),
    parts,
)
SIGNS = CaseNumbering(
    {
        "瑶": ["皖0111"],
        "合": ["皖01"],
        "合瑶": ["皖0111"],
        "曲中法": ["云03"],
        "鼓": ["苏0106", "闽0102"],
        "新": ["豫07"],
    }
)


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("（2026）京0101执恢123号之一", CaseNumber(2026, "京0101", "执恢", 123, "之一")),
        ("(2026)京0101执123号", CaseNumber(2026, "京0101", "执", 123)),
        ("〔２０２６〕京０１０１执１２３号", CaseNumber(2026, "京0101", "执", 123)),
        ("［2026］京0101执123号", CaseNumber(2026, "京0101", "执", 123)),
        ("【2026】京0101执123号", CaseNumber(2026, "京0101", "执", 123)),
        ("﹝2026﹞京0101执123号", CaseNumber(2026, "京0101", "执", 123)),
        (" （2026） 京01 执异 7 号 ", CaseNumber(2026, "京01", "执异", 7)),
        ("（2026）最高法执监5号", CaseNumber(2026, "最高法", "执监", 5)),
        ("（2016）兵执保00012号", CaseNumber(2016, "兵", "执保", 12)),
        ("（2026）京0101执他12号", CaseNumber(2026, "京0101", "执他", 12)),
        ("（2026）军执1号", CaseNumber(2026, "军", "执", 1)),
        ("（2026）军01执1号", CaseNumber(2026, "军01", "执", 1)),
        ("（2026）军0101执1号", CaseNumber(2026, "军0101", "执", 1)),
        ("（2026）沪72执1号", CaseNumber(2026, "沪72", "执", 1)),
        ("（2026）京7101执1号", CaseNumber(2026, "京7101", "执", 1)),
        ("（2026）浙0192执1号", CaseNumber(2026, "浙0192", "执", 1)),
        ("（2026）兵08执1号", CaseNumber(2026, "兵08", "执", 1)),
        ("（2026）新40执1号", CaseNumber(2026, "新40", "执", 1)),
        ("（2026）京0101执12-1号", CaseNumber(2026, "京0101", "执", 12, sub="-1")),
        ("（2026）京0101执12－1号", CaseNumber(2026, "京0101", "执", 12, sub="-1")),
        ("（2026）京0101执12–1号", CaseNumber(2026, "京0101", "执", 12, sub="-1")),
        ("（2026）京0101执12之一号", CaseNumber(2026, "京0101", "执", 12, sub="之一")),
        ("（2026）京0101执12号之1", CaseNumber(2026, "京0101", "执", 12, "之1")),
        ("（2026）京0101执12号之 １", CaseNumber(2026, "京0101", "执", 12, "之1")),
        ("（2026）京0101执12号-1", CaseNumber(2026, "京0101", "执", 12, "-1")),
    ],
)
def test_case_numbers_are_read_in_any_brackets_and_width(text: str, case: CaseNumber) -> None:
    assert parse_case_number(text) == case


@pytest.mark.parametrize(
    ("text", "spelled", "courts"),
    [
        ("(2003)皖1202执字第00174号", "（2003）皖1202执字第00174号", {"皖1202"}),
        ("（２００３）皖１２０２执字第００１７４号", "（2003）皖1202执字第00174号", {"皖1202"}),
        ("(2003) 皖1202 执字 第 00174 号", "（2003）皖1202执字第00174号", {"皖1202"}),
        ("〔2003〕皖1202执字00174号", "（2003）皖1202执字第00174号", {"皖1202"}),
        ("(2015)瑶执字第02181号", "（2015）瑶执字第02181号", {"皖0111"}),
        ("(2015)瑶执恢字第02181号", "（2015）瑶执恢字第02181号", {"皖0111"}),
        ("(2015)瑶恢执字第02181号", "（2015）瑶恢执字第02181号", {"皖0111"}),
        ("(2015)瑶行执字第02181号", "（2015）瑶行执字第02181号", {"皖0111"}),
        ("(2015)瑶执字第02181-1号", "（2015）瑶执字第02181-1号", {"皖0111"}),
        ("(2015)瑶执字第02181号之二", "（2015）瑶执字第02181号之二", {"皖0111"}),
        ("(2015)瑶执字第02181号之2", "（2015）瑶执字第02181号之2", {"皖0111"}),
        ("(2015)瑶执字第A2181号", "（2015）瑶执字第A2181号", {"皖0111"}),
        ("(2015)合执字第1号", "（2015）合执字第1号", {"皖01"}),
        ("(2015)合瑶执字第1号", "（2015）合瑶执字第1号", {"皖0111", "皖01"}),
        ("（2012）曲中法执字第66号", "（2012）曲中法执字第66号", {"云03"}),
        ("（2012）鼓执字第66号", "（2012）鼓执字第66号", {"苏0106", "闽0102"}),
        ("（2012）皖执复字第6号", "（2012）皖执复字第6号", {"皖"}),
        ("（2012）粤高法执字第6号", "（2012）粤高法执字第6号", {"粤"}),
        ("（2012）沪恢执字第6号", "（2012）沪恢执字第6号", {"沪"}),
        ("（2012）沪一中执字第6号", "（2012）沪一中执字第6号", set()),
        ("（2012）津海法执字第6号", "（2012）津海法执字第6号", set()),
        ("（2012）京0101民执字第6号", "（2012）京0101民执字第6号", {"京0101"}),
        ("（2012）最高法执监字第6号", "（2012）最高法执监字第6号", {"最高法"}),
        ("（2012）新执字第6号", "（2012）新执字第6号", {"新", "豫07"}),
        ("（2012）军执字第6号", "（2012）军执字第6号", {"军"}),
        ("（2014）执申字第12号", "（2014）执申字第12号", {"最高法"}),
        ("（2014）执字第12号", "（2014）执字第12号", {"最高法"}),
        ("（2014）朝执字第12号", "（2014）朝执字第12号", set()),
    ],
)
def test_numbers_from_before_2016_keep_their_spelling(text: str, spelled: str, courts: set[str]) -> None:
    case = parse_case_number(text, SIGNS)
    assert str(case) == spelled
    assert case.courts == courts


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as"),
        ("京0101执123号", "such as"),
        ("（2026）京0101执123", "such as"),
        ("（2026）美0101执123号", "such as"),
        ("（2026）京0101执123号之", "such as"),
        ("（2026）京0101执123号之一\n（2026）京0101执124号", "such as"),
        ("（2026）京0101执12-号", "such as"),
        ("（2026）京0101执-1号", "such as"),
        ("（2026）京0101执1\u200b号", "such as"),
        ("（2015）执字第号", "such as"),
        ("（1989）京0101执123号", "1990 to 2100"),
        ("（2101）京0101执123号", "1990 to 2100"),
        ("（1989）京0101执字第123号", "1990 to 2100"),
        ("（2012）京0101执123号", "begin in 2016"),
        ("（2015）京0101执恢123号", "begin in 2016"),
        ("（1990）兵执保12号", "begin in 2016"),
        ("（2016）京0101执字第123号", "end in 2015"),
        ("（2016）瑶执字第123号", "end in 2015"),
        ("（2026）京0101民初123号", "enforcement case"),
        ("（2026）京0101刑初123号", "enforcement case"),
        ("（2026）京0101执未123号", "enforcement case"),
        ("（2015）瑶民初字第123号", "enforcement case"),
        ("（2026）京0101执0号", "serial number"),
        ("（2015）瑶执字第000号", "serial number"),
    ],
)
def test_what_is_no_enforcement_case_is_refused_with_a_remedy(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_case_number(text, SIGNS)


@pytest.mark.parametrize("kind", ["执", "执恢", "执保", "执异", "执复", "执监", "执协", "执他"])
def test_every_published_type_is_accepted(kind: str) -> None:
    assert str(parse_case_number(f"(2026)京0101{kind}1号")) == f"（2026）京0101{kind}1号"


def test_further_types_can_be_added() -> None:
    numbering = CaseNumbering({}, ENFORCEMENT | {"执督"})
    assert str(parse_case_number("(2026)京0101执督1号", numbering)) == "（2026）京0101执督1号"


@given(case_numbers)
def test_canonical_case_numbers_survive_a_round_trip(case: CaseNumber) -> None:
    assert parse_case_number(str(case)) == case


@given(old_case_numbers)
def test_old_case_numbers_survive_a_round_trip(case: OldCaseNumber) -> None:
    assert parse_case_number(str(case)) == case


@given(st.text() | st.text("（）0123京皖瑶执字第号之一-\ud800", max_size=20))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        parse_case_number(text, SIGNS)
    except ValueError as error:
        assert "must" in str(error)  # noqa: PT017 - either outcome is right
