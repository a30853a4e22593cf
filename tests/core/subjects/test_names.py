"""Names as they are sent: a table of what is trimmed and one of what is refused, and batches against single names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.fault import Fault
from broker.core.subjects.invisible import WHITE_SPACE, find_unreadable
from broker.core.subjects.names import read_names


def read(written: str) -> str | Fault:
    names, faults = read_names([written])
    return faults.get(0, names[0])


@pytest.mark.parametrize(
    "written",
    [
        "张三",
        "甲乙（北京）科技有限公司",
        "甲乙(北京)科技有限公司",
        "甲乙第Ⅱ建筑有限公司",
        "３Ｄ＆Ａ有限公司",
        "Ｊｏｈｎ Ｓｍｉｔｈ",
        "J. Smith",
        "JOHN\u3000 SMITH",
        "LUKE O\u2019CONNOR",
        "古丽米热.艾比布力",
        "古丽米热。艾比布力",
        "古丽米热 · 艾比布力",
        "张\u3000三",
        "\u2f45\u2f08\u2f8f",
        "\u2ee2小\u2ee9",
        "李\ue831",
        "王\U00020bb7",
        "\U000323af",  # encoded after Python's Unicode tables
        "Jose\u0301",
        "张" * 100,
    ],
)
def test_a_name_is_sent_as_it_was_written(written: str) -> None:
    assert read(written) == written


@pytest.mark.parametrize("edge", WHITE_SPACE)
def test_white_space_is_trimmed_at_both_ends(edge: str) -> None:
    assert read(f"{edge} 张三{edge}") == "张三"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "EMPTY"),
        (" \u3000\n", "EMPTY"),
        ("张" * 101, "BAD_LENGTH"),
        ("\ufdfa" * 400, "BAD_LENGTH"),
        ("张\x00三", "BAD_CHARACTER"),
        ("张\x1f三", "BAD_CHARACTER"),  # it separates number and name in the key
        ("张三\x1f", "BAD_CHARACTER"),
        ("张\x7f三", "BAD_CHARACTER"),
        ("张\t三", "BAD_CHARACTER"),
        ("张\n三", "BAD_CHARACTER"),
        ("张\r\n三", "BAD_CHARACTER"),
        ("张\v三", "BAD_CHARACTER"),
        ("张\f三", "BAD_CHARACTER"),
        ("张\x85三", "BAD_CHARACTER"),
        ("张\u2028三", "BAD_CHARACTER"),
        ("张\u2029三", "BAD_CHARACTER"),
        ("张\xad三", "BAD_CHARACTER"),
        ("张\u034f三", "BAD_CHARACTER"),
        ("张\u115f三", "BAD_CHARACTER"),
        ("张\u1160三", "BAD_CHARACTER"),
        ("张\u180e三", "BAD_CHARACTER"),
        ("张\u200b三", "BAD_CHARACTER"),
        ("张\u200c三", "BAD_CHARACTER"),
        ("张\u200d三", "BAD_CHARACTER"),
        ("\u200e张三", "BAD_CHARACTER"),
        ("\u202e张三", "BAD_CHARACTER"),
        ("张\u2060三", "BAD_CHARACTER"),
        ("张\u2066三", "BAD_CHARACTER"),
        ("张\u2800三", "BAD_CHARACTER"),
        ("张\u3164三", "BAD_CHARACTER"),
        ("张三\ufe0f", "BAD_CHARACTER"),
        ("葛\ufe00三", "BAD_CHARACTER"),
        ("葛\U000e0101三", "BAD_CHARACTER"),
        ("\ufeff张三", "BAD_CHARACTER"),
        ("张\uffa0三", "BAD_CHARACTER"),
        ("张\ufff9三", "BAD_CHARACTER"),
        ("张\ufffc三", "BAD_CHARACTER"),
        ("张\ufffd", "BAD_CHARACTER"),
        ("张\uffff", "BAD_CHARACTER"),
        ("张\U0002fffe", "BAD_CHARACTER"),
        ("张\U000e0041三", "BAD_CHARACTER"),
        ("张" + chr(0xD800), "BAD_CHARACTER"),
    ],
)
def test_bad_names_are_refused_for_the_right_reason(written: str, expected: str) -> None:
    fault = read(written)
    assert isinstance(fault, Fault)
    assert fault.reason == expected
    assert not written or written not in fault.message


def test_every_control_and_format_character_is_refused_and_no_other_letter_is() -> None:
    refused = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for character in map(chr, range(0x110000)):
        if unicodedata.category(character) in refused:
            assert find_unreadable(character), ascii(character)
    ideographs = (*range(0x2E80, 0x3164), *range(0x3165, 0xA000), *range(0xE000, 0xFB00), *range(0x20000, 0x2FFFE))
    assert not [code for code in ideographs if find_unreadable(chr(code))]


names_strategy = st.text("张三李·•（）Aａ \u3000\n\x00\u0301゙か", max_size=12) | st.text(
    st.characters(codec=None, categories=None)
)


@given(st.lists(names_strategy, max_size=8))
def test_a_batch_of_names_is_judged_as_they_are_one_by_one(names: list[str]) -> None:
    together, faults = read_names(names)
    assert [faults.get(position, name) for position, name in enumerate(together)] == [read(name) for name in names]


@given(names_strategy)
def test_reading_again_changes_no_name(name: str) -> None:
    once, faults = read_names([name])
    assert read_names(once) == (once, faults)


def test_what_is_passed_without_a_look_needs_none() -> None:
    ordinary = (*range(0x21, 0x7F), *range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), 0xB7, 0xFF08, 0xFF09)
    assert not find_unreadable("".join(map(chr, ordinary)))


def test_an_empty_batch_of_names_is_nothing() -> None:
    assert read_names([]) == ([], {})


def test_the_callers_names_are_left_alone() -> None:
    names = ["张三"]
    assert read_names(names)[0] is not names
