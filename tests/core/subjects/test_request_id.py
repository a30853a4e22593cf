"""A caller's own id of a request may hold anything; a log may not."""

import pytest

from broker.core.subjects.request_id import WITHHELD, loggable


@pytest.mark.parametrize(
    "harmless",
    ["request-1", "0101-a.b:c/d_e", "0f8fad5b-d9cb-469f-a165-708677289500", "0f8fad5bd9cb469fa165708677289500"],
)
def test_what_can_be_nobodys_number_is_logged_as_it_is(harmless: str) -> None:
    assert loggable(harmless) == harmless


@pytest.mark.parametrize(
    "risky",
    [
        "11010519491231002X",
        "x110105194912310021",
        "110105-19491231-002X",
        "E12345678",
        "11010519491231002120260101120000",
        "张三",
        "a b",
        "a\nERROR forged",
        "",
        "x" * 129,
    ],
)
def test_everything_else_is_withheld(risky: str) -> None:
    assert loggable(risky) == WITHHELD
