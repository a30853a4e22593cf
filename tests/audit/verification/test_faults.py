"""How two sequences of entries differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.verification.faults import AuditFault, FaultKind, difference


def hashes(text: str) -> list[bytes]:
    return [letter.encode() for letter in text]


@pytest.mark.parametrize(
    ("signed", "found", "expected"),
    [
        ("", "", None),
        ("abc", "abc", None),
        ("abc", "abcd", None),
        ("abcd", "abXd", (FaultKind.CHANGED, 2)),
        ("abcd", "abXdefg", (FaultKind.CHANGED, 2)),
        ("abcd", "acd", (FaultKind.REMOVED, 1)),
        ("abcd", "acdef", (FaultKind.REMOVED, 1)),
        ("abcd", "abXcd", (FaultKind.ADDED, 2)),
        ("abcd", "acbd", (FaultKind.REORDERED, 1)),
        ("abcd", "ab", (FaultKind.TRUNCATED, 2)),
        ("abcd", "", (FaultKind.TRUNCATED, 0)),
        ("abcd", "Xbcd", (FaultKind.CHANGED, 0)),
    ],
)
def test_differences(signed: str, found: str, expected: tuple[FaultKind, int] | None) -> None:
    assert difference(hashes(signed), hashes(found)) == expected


@given(st.text("abcdef", max_size=8), st.text("abcdef", max_size=8))
def test_only_what_begins_with_the_signed_is_the_same(signed: str, found: str) -> None:
    result = difference(hashes(signed), hashes(found))
    assert (result is None) == found.startswith(signed)
    if result is not None:
        assert signed[: result[1]] == found[: result[1]]


def test_a_fault_names_log_entry_and_kind() -> None:
    assert str(AuditFault("origin", 7, FaultKind.CHANGED, "so")) == "origin, entry 7: changed: so"
    assert str(AuditFault("origin", None, FaultKind.FORKED, "so")) == "origin: forked: so"
