"""Court codes, and who reaches whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.court import PROVINCES, XPCC, lineage, parse_court, reaches
from broker.model import Court, Level


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
        ("军", Court("军", Level.HIGH, None)),
        ("军01", Court("军01", Level.INTERMEDIATE, None)),
        ("军0101", Court("军0101", Level.BASIC, None)),
        ("军０１０１", Court("军0101", Level.BASIC, None)),
        # intellectual property, railway, internet, Corps and Xinjiang
        ("沪72", Court("沪72", Level.INTERMEDIATE, "沪")),
        ("京7101", Court("京7101", Level.BASIC, "京")),
        ("浙0192", Court("浙0192", Level.BASIC, "浙")),
        ("兵08", Court("兵08", Level.INTERMEDIATE, "兵")),
        ("新40", Court("新40", Level.INTERMEDIATE, "新")),
    ],
)
def test_court_code_tells_level_and_region(code: str, court: Court) -> None:
    assert parse_court(code) == court


@pytest.mark.parametrize(
    "code",
    [
        "",
        "京1",
        "京010",
        "京01010",
        "美01",
        "最高法01",
        "01",
        "京01 01",
        "京A1",
        "京٠١",
        "\ud800",
        "军1",
        "军010",
        "海军01",
    ],
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
        ("军", "沪", True),
        ("军0101", "沪", True),
        ("军01", "兵", True),
        ("军01", None, True),
    ],
)
def test_regional_institutions_are_reached_by_their_region_only(code: str, region: str | None, expected: bool) -> None:
    assert reaches(parse_court(code), region) is expected


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        parse_court(text)
    except ValueError as error:
        assert "must" in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("code", "codes"),
    [
        ("最高法", ("最高法",)),
        ("京", ("京", "最高法")),
        ("京01", ("京01", "京", "最高法")),
        ("京0101", ("京0101", "京01", "京", "最高法")),
        ("内01", ("蒙01", "蒙", "最高法")),
        ("蒙01", ("蒙01", "蒙", "最高法")),
        ("兵0101", ("兵0101", "兵01", "兵", "最高法")),
        ("军0101", ("军0101", "军01", "军", "最高法")),
    ],
)
def test_a_court_is_below_those_whose_digits_its_code_begins_with(code: str, codes: tuple[str, ...]) -> None:
    assert lineage(parse_court(code)) == codes
