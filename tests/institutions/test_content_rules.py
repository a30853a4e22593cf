"""The rules of texts, amounts and decimals, by tables."""

import pytest

from broker.institutions.content_rules import are_amounts, are_decimals, has_controls


@pytest.mark.parametrize(
    "text", ["", "张三", "a b", "古丽米热·艾比布力", "\u00a0", "\u00ff", "\u3000", "\U0001f600", "~", "\u2028", "\\n"]
)
def test_a_text_without_controls(text: str) -> None:
    assert not has_controls(text.encode())


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, *range(0x80, 0xA0)])
@pytest.mark.parametrize("text", ["{}", "张{}三", "·{}", "{}·"])
def test_every_control_character_is_found(code: int, text: str) -> None:
    assert has_controls(text.format(chr(code)).encode())


@pytest.mark.parametrize(
    ("units", "nanos", "right"),
    [
        (0, 0, True),
        (1, 0, True),
        (-1, 0, True),
        (0, 1, True),
        (0, -1, True),
        (1, 999_999_999, True),
        (-1, -999_999_999, True),
        (2**63 - 1, 999_999_999, True),
        (1, 1_000_000_000, False),
        (1, 1_500_000_000, False),
        (-1, -1_000_000_000, False),
        (0, 1_000_000_000, False),
        (1, -500_000_000, False),
        (-1, 500_000_000, False),
        (-1, 1, False),
        (-(2**63), 1, False),
    ],
)
def test_amounts(units: int, nanos: int, right: bool) -> None:
    assert are_amounts([units], [nanos]) == right
    assert are_amounts([5, units, -3], [5, nanos, -3]) == right


@pytest.mark.parametrize("text", ["", "0", "89.5", "-1", "+1", "1.", ".5", "007", "1e3", "1E-3", "-.5e+10", "9" * 100])
def test_decimals(text: str) -> None:
    assert are_decimals([text])
    assert are_decimals(["1", text, "2"])


@pytest.mark.parametrize(
    "text",
    [
        *[" ", "89,5", "89.5㎡", "89.5 ", " 89.5", "１２", "1_000", "1,000", ".", "-", "+", "e5", "1e", "1e5.0"],
        *["1.2.3", "--1", "0x10", "NaN", "Infinity", "-inf", "约100", "1/2", "\n", "1\n", "1\n2"],
    ],
)
def test_what_is_no_decimal(text: str) -> None:
    assert not are_decimals([text])
    assert not are_decimals(["1", text, "2"])
