"""Names: tables of spellings and faults, and batches against single names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects import numbers
from broker.core.subjects.fault import Fault
from broker.core.subjects.names import normalise_names


def name_of(written: str) -> str | Fault:
    names, faults = normalise_names([written])
    return faults.get(0, names[0])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("张三", "张三"),
        (" 张三\u3000", "张三"),
        ("JOHN\u3000 \n SMITH", "JOHN SMITH"),
        ("Ｊｏｈｎ Ｓｍｉｔｈ", "John Smith"),
        ("J. Smith", "J. Smith"),
        ("北京某某（集团）有限公司", "北京某某(集团)有限公司"),
        ("\u2f08", "人"),
        ("\U00020bb7野家", "\U00020bb7野家"),
        ("\ue863", "\ue863"),
        ("张" * 100, "张" * 100),
        *((f"阿里木{dot}买买提", "阿里木·买买提") for dot in numbers.MIDDLE_DOTS),
    ],
)
def test_good_names_come_out_in_one_spelling(written: str, expected: str) -> None:
    assert name_of(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "EMPTY"),
        (" \u3000\n", "EMPTY"),
        ("张" * 101, "BAD_LENGTH"),
        ("张\x00三", "BAD_CHARACTER"),
        ("张\x7f三", "BAD_CHARACTER"),
        ("张\u200b三", "BAD_CHARACTER"),
        ("\u202e张三", "BAD_CHARACTER"),
        ("张\ud800", "BAD_CHARACTER"),
    ],
)
def test_bad_names_are_refused_for_the_right_reason(written: str, expected: str) -> None:
    fault = name_of(written)
    assert isinstance(fault, Fault)
    assert fault.reason == expected
    assert not written or written not in fault.message


names_strategy = st.text("张三李·•（）Aａ \u3000\n\x00\u0301゙か", max_size=12) | st.text(
    st.characters(codec=None, categories=None)
)


@given(st.lists(names_strategy, max_size=8))
def test_a_batch_of_names_is_judged_as_they_are_one_by_one(names: list[str]) -> None:
    together, faults = normalise_names(names)
    assert [faults.get(position, name) for position, name in enumerate(together)] == [name_of(name) for name in names]


@given(names_strategy)
def test_normalising_again_changes_no_name(name: str) -> None:
    once, faults = normalise_names([name])
    assert normalise_names(once) == (once, faults)


def test_no_character_is_spelled_two_ways() -> None:
    """Every character that NFKC changes, between two others; and every one that is passed without a look."""
    changing = [c for c in map(chr, range(0x110000)) if not unicodedata.is_normalized("NFKC", c) or c in "·•・．‧"]
    once, _ = normalise_names([f"张{character}三" for character in changing])
    assert normalise_names(once)[0] == once
    looked_past = [chr(code) for code in (*range(0x21, 0x7F), *range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), 0xB7)]
    assert all(unicodedata.is_normalized("NFKC", character) for character in looked_past)
    assert not normalise_names(looked_past)[1]


def test_an_empty_batch_of_names_is_nothing() -> None:
    assert normalise_names([]) == ([], {})


def test_the_callers_names_are_left_alone() -> None:
    names = ["张三"]
    assert normalise_names(names)[0] is not names
