"""The concurrency limit: steps as tables, bounds as a property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.limit import INCIDENT_SECONDS, AdaptiveLimit, LimitStatistics


def drop_until(limit: AdaptiveLimit, target: int) -> float:
    """Drop once per incident until the limit is at the target; returns the moment of the last drop."""
    now = 0.0
    while limit.limit > target:
        now += INCIDENT_SECONDS
        limit.on_dropped(now)
    return now


def test_starts_at_what_the_institution_says_it_takes() -> None:
    assert AdaptiveLimit(8).statistics() == LimitStatistics(limit=8, maximum=8, decreases=0)


@pytest.mark.parametrize(("maximum", "after"), [(1, 1), (2, 1), (3, 2), (10, 7), (32, 22), (70, 49), (100, 70)])
def test_one_drop_keeps_seven_tenths(maximum: int, after: int) -> None:
    limit = AdaptiveLimit(maximum)
    limit.on_dropped(0.0)
    assert limit.limit == after


@pytest.mark.parametrize(
    ("moments", "decreases"),
    [
        ([0.0, 0.0, 0.0], 1),
        ([0.0, INCIDENT_SECONDS / 2, INCIDENT_SECONDS * 0.99], 1),
        ([0.0, INCIDENT_SECONDS], 2),
        ([0.0, INCIDENT_SECONDS * 0.9, INCIDENT_SECONDS * 1.8, INCIDENT_SECONDS * 2.7], 2),
    ],
)
def test_a_burst_of_drops_is_one_incident(moments: list[float], decreases: int) -> None:
    limit = AdaptiveLimit(100)
    for now in moments:
        limit.on_dropped(now)
    assert limit.statistics().decreases == decreases


def test_lasting_overload_reaches_the_minimum_within_nine_seconds() -> None:
    assert drop_until(AdaptiveLimit(32), 1) <= 9 * INCIDENT_SECONDS


def test_a_round_of_successes_raises_the_limit_by_one() -> None:
    limit = AdaptiveLimit(10)
    drop_until(limit, 4)
    raised_at = []
    for success in range(1, 16):
        before = limit.limit
        limit.on_success()
        if limit.limit > before:
            raised_at.append(success)
    assert raised_at == [4, 4 + 5, 4 + 5 + 6]


def test_a_drop_starts_the_round_anew() -> None:
    limit = AdaptiveLimit(10)
    now = drop_until(limit, 4)
    for _ in range(3):
        limit.on_success()
    limit.on_dropped(now + INCIDENT_SECONDS)
    assert limit.limit == 2
    limit.on_success()
    assert limit.limit == 2
    limit.on_success()
    assert limit.limit == 3


def test_ignored_calls_change_nothing() -> None:
    limit = AdaptiveLimit(10)
    drop_until(limit, 2)
    limit.on_success()
    limit.on_ignored()
    assert limit.limit == 2
    limit.on_success()
    assert limit.limit == 3


@pytest.mark.parametrize(("maximum", "minimum"), [(0, 1), (5, 0), (2, 3)])
def test_bounds_that_make_no_sense_are_rejected(maximum: int, minimum: int) -> None:
    with pytest.raises(ValueError, match="minimum"):
        AdaptiveLimit(maximum, minimum=minimum)


@given(
    bounds=st.tuples(st.integers(1, 64), st.integers(1, 64)).map(sorted),
    calls=st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["success", "ignored", "dropped"]))),
)
def test_the_limit_stays_within_its_bounds_and_moves_the_right_way(
    bounds: list[int], calls: list[tuple[float, str]]
) -> None:
    minimum, maximum = bounds
    limit = AdaptiveLimit(maximum, minimum=minimum)
    now = 0.0
    for elapsed, result in calls:
        now += elapsed
        before = limit.limit
        if result == "success":
            limit.on_success()
            assert limit.limit - before in (0, 1)
        elif result == "ignored":
            limit.on_ignored()
            assert limit.limit == before
        else:
            limit.on_dropped(now)
            assert limit.limit <= before
        assert minimum <= limit.limit <= maximum


@given(maximum=st.integers(1, 64))
def test_the_limit_always_recovers(maximum: int) -> None:
    limit = AdaptiveLimit(maximum)
    drop_until(limit, 1)
    for _ in range(maximum * maximum):
        limit.on_success()
    assert limit.limit == maximum
