"""A workload has the requested size and the distributions of its parameters, and is the same for the same seed."""

import numpy as np
import pytest

from benchmarks.workload import INQUIRIES, ORGANISATION, PERSON, PROPERTY, Schedule, WorkloadSpec, draw

SPEC = WorkloadSpec(inquiries=200_000)


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return draw(SPEC)


def cases(schedule: Schedule) -> float:
    return len(schedule.subjects) / len(schedule.kinds)


def test_a_workload_has_the_requested_number_of_inquiries(schedule: Schedule) -> None:
    max_per_subject = np.bincount(schedule.subjects).max() * max(INQUIRIES)
    assert SPEC.inquiries <= schedule.inquiries < SPEC.inquiries + max_per_subject


def test_every_subject_is_searched(schedule: Schedule) -> None:
    assert np.array_equal(np.unique(schedule.subjects), np.arange(len(schedule.kinds)))


def test_equal_specs_give_equal_schedules_and_other_seeds_others(schedule: Schedule) -> None:
    again, other = draw(SPEC), draw(WorkloadSpec(inquiries=SPEC.inquiries, seed=2))
    assert np.array_equal(again.subjects, schedule.subjects)
    assert np.array_equal(again.kinds, schedule.kinds)
    assert not np.array_equal(other.subjects[:1000], schedule.subjects[:1000])


def test_a_larger_workload_begins_with_the_same_subjects(schedule: Schedule) -> None:
    larger = draw(WorkloadSpec(inquiries=300_000))
    assert np.array_equal(larger.kinds[: len(schedule.kinds)], schedule.kinds)


def test_a_case_has_one_and_seven_tenths_searches() -> None:
    """Without cases in common, subjects are cases."""
    apart = draw(WorkloadSpec(inquiries=400_000, one_case=1.0, few_cases=0.0))
    assert cases(apart) == pytest.approx(1.7, abs=0.03)


def test_without_repeats_searches_are_cases() -> None:
    once = draw(WorkloadSpec(inquiries=400_000, ended=0.0))
    searched = np.bincount(once.subjects)
    assert (searched == 1).mean() == pytest.approx(0.70, abs=0.01)
    assert ((searched == 2) | (searched == 3)).mean() == pytest.approx(0.20, abs=0.01)
    assert searched.max() > 50  # the tail is long


def test_kinds_are_mixed_and_the_tail_is_corporate(schedule: Schedule) -> None:
    searched = np.bincount(schedule.subjects)
    tail = schedule.kinds[searched >= 50]
    assert {PERSON, ORGANISATION, PROPERTY} == set(schedule.kinds.tolist())
    assert (tail == ORGANISATION).mean() > 0.4
    assert (schedule.kinds == ORGANISATION).mean() == pytest.approx(0.13, abs=0.02)
    assert (schedule.kinds == PROPERTY).mean() == pytest.approx(0.036, abs=0.01)


def test_distinct_inquiries_count_each_subject_once() -> None:
    schedule = Schedule(np.array([0, 1, 0, 2, 1], np.uint32), np.array([PERSON, PROPERTY, ORGANISATION], np.uint8))
    assert [schedule.distinct_inquiries(searches) for searches in range(6)] == [0, 4, 5, 5, 9, 9]
    assert schedule.inquiries == 4 + 1 + 4 + 4 + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"one_case": 0.9, "few_cases": 0.2},
        {"ended": 1.5},
        {"organisations": 0.7, "properties": 0.4},
        {"batch": 0},
        {"interactive": -1},
        {"max_cases": 3},
        {"span_days": 0.0},
    ],
)
def test_an_impossible_spec_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|cannot"):
        WorkloadSpec(**wrong)  # type: ignore[arg-type]
