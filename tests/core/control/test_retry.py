"""The retry budget and the back-off: tables, and the budget's bound as a property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.retry import FLOOR_SECONDS, RetryBudget, RetryStatistics, full_jitter


def withdraw_all(budget: RetryBudget, now: float) -> int:
    """How many retries it pays for, one after the other, at one moment."""
    paid = 0
    while budget.withdraw(now):
        paid += 1
    return paid


@pytest.mark.parametrize(
    ("first_attempts", "retries"),
    [(0, 10), (5, 11), (100, 30), (450, 100), (1_000_000, 100)],
    ids=["floor only", "one earned", "a fifth", "just full", "a good day buys no storm"],
)
def test_what_first_attempts_earn(first_attempts: int, retries: int) -> None:
    budget = RetryBudget()
    budget.deposit(first_attempts)
    assert withdraw_all(budget, 0.0) == retries


@pytest.mark.parametrize(
    ("seconds", "retries"),
    [(0.0, 0), (FLOOR_SECONDS / 10 + 0.001, 1), (FLOOR_SECONDS / 2 + 0.001, 5), (FLOOR_SECONDS, 10), (1e6, 10)],
)
def test_the_floor_comes_back_by_itself(seconds: float, retries: int) -> None:
    budget = RetryBudget()
    withdraw_all(budget, 50.0)
    assert withdraw_all(budget, 50.0 + seconds) == retries


def test_time_adds_nothing_above_the_floor() -> None:
    budget = RetryBudget()
    budget.deposit(50)
    assert budget.withdraw(0.0)
    assert withdraw_all(budget, 1e6) == 19


def test_several_retries_are_paid_together_or_not_at_all() -> None:
    budget = RetryBudget(floor=5)
    assert not budget.withdraw(0.0, 6)
    assert budget.withdraw(0.0, 5)
    assert budget.statistics() == RetryStatistics(tokens=0.0, withdrawn=5, refused=6)


def test_a_budget_of_nothing_allows_nothing() -> None:
    budget = RetryBudget(0.0, 0.0)
    budget.deposit(1000)
    assert not budget.withdraw(1e9)


@pytest.mark.parametrize(("ratio", "floor", "cap"), [(-0.1, 10, 100), (0.2, -1, 100), (0.2, 10, 5)])
def test_a_budget_that_makes_no_sense_is_rejected(ratio: float, floor: float, cap: float) -> None:
    with pytest.raises(ValueError, match="retry budget"):
        RetryBudget(ratio, floor, cap=cap)


@given(
    ratio=st.floats(0, 1),
    floor=st.floats(0, 20),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 200), st.integers(1, 5), st.integers(0, 60))),
)
def test_retries_are_bounded_by_first_attempts_and_floor(
    ratio: float, floor: float, steps: list[tuple[float, int, int, int]]
) -> None:
    cap = 50.0
    budget = RetryBudget(ratio, floor, cap=cap)
    now, first_attempts = 0.0, 0
    for elapsed, deposited, n, tries in steps:
        now += elapsed
        budget.deposit(deposited)
        first_attempts += deposited
        at_once = sum(n for _ in range(tries) if budget.withdraw(now, n))
        assert at_once <= cap + 1e-6
        assert 0 <= budget.statistics().tokens <= cap
        retries = budget.statistics().withdrawn
        assert retries <= ratio * first_attempts + floor * (1 + now / FLOOR_SECONDS) + 1e-6


@pytest.mark.parametrize(
    ("attempt", "random", "seconds"),
    [(1, 0.0, 0.0), (1, 0.5, 0.05), (2, 0.5, 0.1), (3, 0.5, 0.2), (6, 0.5, 1.0), (5000, 0.5, 1.0)],
)
def test_full_jitter(attempt: int, random: float, seconds: float) -> None:
    assert full_jitter(attempt, base=0.1, cap=2.0, random=random) == pytest.approx(seconds)


@given(attempt=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_below_the_cap_and_its_range_never_shrinks(attempt: int, random: float) -> None:
    wait = full_jitter(attempt, base=0.1, cap=2.0, random=random)
    assert 0 <= wait < 2.0
    assert full_jitter(attempt + 1, base=0.1, cap=2.0, random=random) >= wait
