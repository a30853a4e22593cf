"""What in a free text looks like a subject's number."""

import pytest

from broker.core.subjects.free_text import shows_number


@pytest.mark.parametrize(
    "text",
    [
        "查询 110101199003074514 名下财产",
        "110101 1990 0307 4514",
        "110101-19900307-451X",
        "１１０１０１１９９００３０７４５１４",
        "护照E12345678",
        "e 1234 5678",
        "K123456(7)",
        "91110000600037341L",
        "6222 0212 3456 7890",
        "6222.0212.3456.7890",
        "京A12345",
        "沪·AD12345",
        "LSVAA4182E2123456",
        "军字第123456号",
        "1101\u200b0119\u200b9003\u200b0745\u200b14",
        "110101(19900307)4514",
        "110101_1990_0307_4514",
        "110101、19900307、4514",
        "110101+1990|0307*4514",
        "11010119900307451420260101120000",  # a number and a time: as long as a UUID without hyphens
        "a110101199003074514f00000000000a",
        "11010119-9003-0745-1400-0000000000ab",
        "\u200b110101\u00a019900307\u30004514",
    ],
)
def test_what_looks_like_a_number_is_found(text: str) -> None:
    assert shows_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "王法官",
        "（2026）京01执1号",
        "（2026）皖0111执恢12345号",
        "（2015）合高新执字第00123号",
        "协助查询存款通知书第12号",
        "（2026）京0101执1234号之一",
        "officer 17",
        "case-2026-0012",
        "01234567-89ab-cdef-0123-456789abcdef",
        "0f8fad5bd9cb469fa165708677289500",
    ],
)
def test_an_ordinary_text_stands_in_the_clear(text: str) -> None:
    assert not shows_number(text)
