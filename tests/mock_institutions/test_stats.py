"""Counters and the token bucket, without a server."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_institutions.dialect import Inquiries
from mock_institutions.findings import NAME_MISMATCH, Findings, Holdings
from mock_institutions.limits import TokenBucket
from mock_institutions.population import Population
from mock_institutions.records import SubjectType
from mock_institutions.repeats import question_keys
from mock_institutions.stats import Stats

from .conftest import INSTITUTIONS


def asking(*numbers: str) -> Inquiries:
    return Inquiries(range(len(numbers)), ["PASSPORT"] * len(numbers), numbers, [""] * len(numbers))


def answer(stats: Stats, inquiries: Inquiries, refused: Sequence[int] = (), *, attempt: int = 1, now: float) -> None:
    """As if nothing were found about anybody who is not refused."""
    count = len(inquiries.numbers)
    nothing = Holdings(rows=[], variants=[], numbers=(), document_types=[], document_numbers=[], names=[], others={})
    findings = Findings(np.full(count, -1), dict.fromkeys(refused, NAME_MISMATCH), nothing)
    stats.answered(inquiries, findings, attempt=attempt, now=now)


def test_first_attempts_and_retries() -> None:
    stats = Stats(60)
    stats.asked(3, 1)
    stats.asked(3, 2)
    assert (stats.inquiries, stats.first_attempts, stats.retries) == (6, 3, 3)


def test_asking_anew_within_the_lifetime_is_a_duplicate() -> None:
    stats = Stats(60)
    answer(stats, asking("A", "B"), now=0)
    answer(stats, asking("B", "C"), now=59)
    assert stats.duplicates == 1
    answer(stats, asking("A"), now=61)
    assert stats.duplicates == 1


def test_retries_and_refusals_are_no_duplicates() -> None:
    stats = Stats(60)
    answer(stats, asking("A", "B", "C"), [0, 2], now=0)
    answer(stats, asking("A", "C"), now=1)
    answer(stats, asking("B"), attempt=2, now=2)
    assert stats.duplicates == 0


def test_the_same_twice_in_one_batch_is_a_duplicate() -> None:
    stats = Stats(60)
    answer(stats, asking("A", "A", "A", "B"), now=0)
    assert stats.duplicates == 2


@given(st.lists(st.tuples(st.lists(st.sampled_from("ABCDE"), min_size=1), st.integers(0, 5)), max_size=20))
def test_duplicates_are_exact(calls: list[tuple[list[str], int]]) -> None:
    """Against the plainest count, one inquiry after the other."""
    stats, answered, expected, now = Stats(10), dict[str, float](), 0, 0
    for numbers, pause in calls:
        now += pause
        answer(stats, asking(*numbers), now=now)
        for number in numbers:
            expected += number in answered and answered[number] > now - 10
            answered[number] = now
    assert stats.duplicates == expected


@pytest.mark.parametrize("size", [1, 20, 500])
def test_persons_are_known_again_in_batches_of_any_size(population: Population, size: int) -> None:
    """Small batches are looked up in another way than large ones, and by hash if they name things."""
    registry, stats = population.registry(INSTITUTIONS[0]), Stats(60)
    lookups = list(population.sample(500, 1, "all", INSTITUTIONS[:1]))
    for step in (500, size):
        for start in range(0, len(lookups), step):
            _, types, numbers, names = zip(*lookups[start : start + step], strict=True)
            inquiries = Inquiries(range(len(numbers)), types, numbers, names)
            stats.answered(inquiries, registry.find_all(types, numbers, names), attempt=1, now=0)
    assert stats.duplicates == 500


def test_the_same_person_and_another_one_have_different_keys(population: Population) -> None:
    numbers, names = population.residents(np.arange(100))
    types: list[SubjectType] = ["RESIDENT_ID"] * 100
    findings = population.registry(INSTITUTIONS[0]).find_all(types, numbers, names)
    assert question_keys(Inquiries(range(100), types, numbers, names), findings).tolist() == list(range(1, 101))


def test_the_count_of_duplicates_can_be_switched_off() -> None:
    stats = Stats(None)
    for _ in range(2):
        answer(stats, asking("A"), now=0)
    assert stats.duplicates == 0


def test_reset_keeps_what_is_in_progress() -> None:
    stats = Stats(60)
    stats.enter()
    stats.enter()
    stats.leave()
    answer(stats, asking("A"), now=0)
    stats.reset()
    answer(stats, asking("A"), now=0)
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
