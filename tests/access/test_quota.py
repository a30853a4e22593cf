"""Which quotas a request is charged to, and when they start anew."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.quota import NO_QUOTAS, QUOTAS, Quotas, day_of, scopes
from broker.core.subjects.mandate import read_mandate
from broker.model import Mandate

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z, 08:00 in China
CHINA = timezone(timedelta(hours=8))
ALL = Quotas(case=1, case_per_day=2, officer_per_day=3, court_per_day=4)


def mandate(court: str = "京0101", officer: str = "王法官", case: int = 1) -> Mandate:
    return read_mandate(court, officer, f"（2026）{court}执{case}号", "协助查询通知书1号")


def keys(of: Mandate) -> dict[str, bytes]:
    return {scope.quota: scope.key for scope in scopes(ALL, of, NOW)}


def test_a_request_is_charged_to_the_quotas_that_there_are() -> None:
    assert scopes(NO_QUOTAS, mandate(), NOW) == ()
    assert [(scope.quota, scope.limit) for scope in scopes(ALL, mandate(), NOW)] == list(
        zip(QUOTAS, (1, 2, 3, 4), strict=True)
    )
    (only,) = scopes(Quotas(case=7), mandate(), NOW)
    assert (only.quota, only.limit, only.day, only.resets_at) == ("case", 7, None, None)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (mandate(), set(QUOTAS)),
        (mandate(officer="李法官"), {"case", "case_per_day", "court_per_day"}),
        (mandate(case=2), {"officer_per_day", "court_per_day"}),
        (mandate(court="京0102"), set()),
    ],
)
def test_what_requests_share(other: Mandate, shared: set[str]) -> None:
    one, two = keys(mandate()), keys(other)
    assert {quota for quota in QUOTAS if one[quota] == two[quota]} == shared


def of_case(number: str, court: str = "京0101") -> Mandate:
    return read_mandate(court, "王法官", number, "协助查询通知书1号")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (of_case("（2026）京0101执12号"), of_case("（2026）京0101执12号之一")),
        (of_case("（2026）京0101执12号"), of_case("（2026）京0101执12-3号")),
        (of_case("（2026）京0101执12号之二"), of_case("（2026）京0101执0012之1号-4")),
        (of_case("（2003）京0101执字第00174号"), of_case("（2003）京0101执字174号之二")),
        (of_case("（2026）内0101执12号", "内0101"), of_case("（2026）蒙0101执12号", "蒙0101")),
    ],
)
def test_no_way_to_write_a_case_or_court_is_a_way_around_its_quotas(one: Mandate, other: Mandate) -> None:
    assert keys(one) == keys(other)


@pytest.mark.parametrize("number", ["（2026）京0101执恢12号", "（2025）京0101执12号", "（2026）京0101执121号"])
def test_other_cases_have_quotas_of_their_own(number: str) -> None:
    assert keys(of_case(number))["case"] != keys(of_case("（2026）京0101执12号"))["case"]


def test_each_quota_counts_by_itself() -> None:
    assert len({*keys(mandate()).values()}) == len(QUOTAS)
    assert all(len(key) == 16 for key in keys(mandate()).values())


@given(st.floats(1.5e9, 4e9))
def test_days_begin_at_midnight_in_china(now: float) -> None:
    assert day_of(now) == (datetime.fromtimestamp(now, CHINA).date() - date(1970, 1, 1)).days
    (scope,) = scopes(Quotas(court_per_day=1), mandate(), now)
    assert scope.resets_at is not None
    reset = datetime.fromtimestamp(scope.resets_at, CHINA)
    assert (reset.hour, reset.minute, reset.second) == (0, 0, 0)
    assert 0 < scope.resets_at - now <= 86_400
