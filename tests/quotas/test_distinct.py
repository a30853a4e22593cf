"""Counting distinct subjects."""

from hypothesis import given
from hypothesis import strategies as st

from broker.quotas import distinct
from broker.quotas.distinct import Count

SUBJECTS = st.lists(st.integers(0, 30))


def commitments(subjects: list[int]) -> bytes:
    return b"".join(subject.to_bytes(16, "little") for subject in subjects)


@given(SUBJECTS)
def test_a_request_has_each_subject_once(subjects: list[int]) -> None:
    found = distinct.subjects_of(commitments(subjects))
    assert found.tolist() == sorted(set(subjects))
    assert distinct.read(distinct.write(found)).tolist() == found.tolist()


def test_subjects_are_told_apart_by_the_first_eight_bytes() -> None:
    assert distinct.subjects_of(b"abcdefgh" + b"ignored." + b"abcdefgh" + b"regarded").size == 1


@given(st.lists(SUBJECTS))
def test_parts_become_one(parts: list[list[int]]) -> None:
    whole = distinct.merged([distinct.subjects_of(commitments(part)) for part in parts])
    assert whole.tolist() == sorted({subject for part in parts for subject in part})


@given(SUBJECTS, SUBJECTS)
def test_what_is_not_known(subjects: list[int], known: list[int]) -> None:
    left = distinct.without(*(distinct.subjects_of(commitments(one)) for one in (subjects, known)))
    assert left.tolist() == sorted(set(subjects) - set(known))


def test_a_bound_is_exact_as_long_as_nothing_can_be_there_twice() -> None:
    assert Count().appended(3, new=True) == Count(base=0, later=3, parts=1, exact=True)
    assert not Count().appended(3, new=False).appended(1, new=True).exact
    assert Count(base=5).appended(3, new=False).bound == 8
