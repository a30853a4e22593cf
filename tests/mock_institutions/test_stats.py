"""Counters and the token bucket, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_institutions.dialect import Inquiries
from mock_institutions.limits import TokenBucket
from mock_institutions.stats import Stats


def asking(*numbers: str) -> Inquiries:
    return Inquiries(range(len(numbers)), ["PASSPORT"] * len(numbers), numbers, [""] * len(numbers))


def test_first_attempts_and_retries() -> None:
    stats = Stats(60)
    stats.asked(3, 1)
    stats.asked(3, 2)
    assert (stats.inquiries, stats.first_attempts, stats.retries) == (6, 3, 3)


def test_asking_anew_within_the_lifetime_is_a_duplicate() -> None:
    stats = Stats(60)
    stats.answered(asking("A", "B"), [], attempt=1, now=0)
    stats.answered(asking("B", "C"), [], attempt=1, now=59)
    assert stats.duplicates == 1
    stats.answered(asking("A"), [], attempt=1, now=61)
    assert stats.duplicates == 1


def test_retries_and_refusals_are_no_duplicates() -> None:
    stats = Stats(60)
    stats.answered(asking("A", "B", "C"), [0, 2], attempt=1, now=0)
    stats.answered(asking("A", "C"), [], attempt=1, now=1)
    stats.answered(asking("B"), [], attempt=2, now=2)
    assert stats.duplicates == 0


def test_the_same_twice_in_one_batch_is_a_duplicate() -> None:
    stats = Stats(60)
    stats.answered(asking("A", "A", "A", "B"), [], attempt=1, now=0)
    assert stats.duplicates == 2


@given(st.lists(st.tuples(st.lists(st.sampled_from("ABCDE"), min_size=1), st.integers(0, 5)), max_size=20))
def test_duplicates_are_exact(calls: list[tuple[list[str], int]]) -> None:
    """Against the plainest count, one inquiry after the other."""
    stats, answered, expected, now = Stats(10), dict[str, float](), 0, 0
    for numbers, pause in calls:
        now += pause
        stats.answered(asking(*numbers), [], attempt=1, now=now)
        for number in numbers:
            expected += number in answered and answered[number] > now - 10
            answered[number] = now
    assert stats.duplicates == expected


def test_the_count_of_duplicates_can_be_switched_off() -> None:
    stats = Stats(None)
    for _ in range(2):
        stats.answered(asking("A"), [], attempt=1, now=0)
    assert stats.duplicates == 0


def test_reset_keeps_what_is_in_progress() -> None:
    stats = Stats(60)
    stats.enter()
    stats.enter()
    stats.leave()
    stats.answered(asking("A"), [], attempt=1, now=0)
    stats.reset()
    stats.answered(asking("A"), [], attempt=1, now=0)
    assert stats.snapshot() == (0, 0, 0, 0, 0, 0, 1, 0, 0, 0, {})


def test_a_bucket_takes_its_rate_in_the_long_run() -> None:
    bucket = TokenBucket(10, 20)
    assert bucket.take(20, 0) == 0
    assert bucket.take(5, 0) == pytest.approx(0.5)
    assert bucket.take(5, 0.5) == 0
    assert bucket.take(1, 0.5) == pytest.approx(0.1)
    assert bucket.take(20, 100) == 0
    assert bucket.take(1, 100) > 0


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 3)), max_size=50))
def test_a_bucket_never_takes_more_than_it_may(calls: list[tuple[int, float]]) -> None:
    bucket, now, taken = TokenBucket(10, 20), 0.0, 0
    for inquiries, pause in calls:
        now += pause
        if not bucket.take(inquiries, now):
            taken += inquiries
        assert taken <= 20 + 10 * now + 1e-6
