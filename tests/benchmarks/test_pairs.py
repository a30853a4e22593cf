"""Pairs are measured in alternating order, and their ratios are summarised without assuming a distribution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pairs import RatioSummary, Verdict, judge, order, summarise


def test_the_order_alternates() -> None:
    assert [side.name for pair in range(3) for side in order(pair)] == ["A", "B", "B", "A", "A", "B"]


@pytest.mark.parametrize(
    ("ratios", "summary"),
    [
        ([1.1], RatioSummary(1.1, 1.1, 1.1, 0.0)),
        ([0.9, 1.1], RatioSummary(1.0, 0.9, 1.1, 0.5)),
        ([5.0, 1.0, 4.0, 2.0, 3.0], RatioSummary(3.0, 1.0, 5.0, 1 - 2 / 32)),
        ([6.0, 1.0, 5.0, 2.0, 4.0, 3.0], RatioSummary(3.5, 1.0, 6.0, 1 - 2 / 64)),
        ([float(one) for one in range(1, 9)], RatioSummary(4.5, 1.0, 8.0, 1 - 2 / 256)),
        ([float(one) for one in range(1, 10)], RatioSummary(5.0, 2.0, 8.0, 1 - 2 * 10 / 512)),
    ],
)
def test_the_interval_leaves_out_as_many_as_the_confidence_allows(ratios: list[float], summary: RatioSummary) -> None:
    assert summarise(ratios) == summary


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_median_lies_within_the_interval(ratios: list[float]) -> None:
    summary = summarise(ratios)
    assert min(ratios) <= summary.low <= summary.median <= summary.high <= max(ratios)
    assert summary.confidence >= 0.95 or (summary.low, summary.high) == (min(ratios), max(ratios))


@pytest.mark.parametrize(
    ("median", "low", "high", "verdict"),
    [
        (0.99, 0.98, 1.01, Verdict(slower=False, certain=True)),
        (0.97, 0.97, 1.01, Verdict(slower=False, certain=True)),  # by as much as is tolerated
        (0.98, 0.96, 1.01, Verdict(slower=False, certain=False)),
        (0.96, 0.95, 0.98, Verdict(slower=True, certain=False)),
        (0.96, 0.95, 0.965, Verdict(slower=True, certain=True)),
        (1.50, 1.40, 1.60, Verdict(slower=False, certain=True)),
    ],
)
def test_the_median_decides_and_the_interval_says_how_certain_that_is(
    median: float, low: float, high: float, verdict: Verdict
) -> None:
    assert judge(RatioSummary(median, low, high, 0.97), 0.03) == verdict


def test_few_pairs_are_never_certain() -> None:
    assert not judge(summarise([0.5] * 5), 0.03).certain
    assert judge(summarise([0.5] * 6), 0.03).certain
