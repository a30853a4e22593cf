"""What refusals mean, by tables: `a` is a call that is answered, `r` one that is refused."""

import pytest

from broker.core.control.evidence import Evidence


def failures(calls: str, *, batch_size: int) -> int:
    """How many of these calls, one after the other, are failures."""
    evidence = Evidence(batch_size)
    count = 0
    for call in calls:
        mark = evidence.begin()
        if call == "a":
            evidence.on_answer(mark)
        else:
            count += evidence.on_refusal()
    return count


@pytest.mark.parametrize(
    ("calls", "batch_size", "expected"),
    [
        ("", 1, 0),
        ("aaaa", 1, 0),
        ("r", 1, 0),
        ("rr", 1, 0),
        ("rrr", 1, 1),
        ("r" * 40, 1, 38),
        ("a" + "r" * 40, 1, 38),
        ("a" * 1000 + "r" * 40, 1, 38),
        ("rrarrarrarra", 1, 0),
        ("rrrarrra", 1, 2),
        ("r" * 8, 100, 0),
        ("r" * 9, 100, 1),
        ("r" * 10 + "a" * 9, 500, 0),
        ("r" * 11, 500, 1),
    ],
)
def test_refusals_in_a_row_are_failures_when_bisecting_does_not_explain_them(
    calls: str, batch_size: int, expected: int
) -> None:
    assert failures(calls, batch_size=batch_size) == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 63, 64, 65, 500, 512, 1000])
def test_bisecting_a_batch_with_one_refused_inquiry_is_no_failure(batch_size: int) -> None:
    """The worst case: the inquiry is always in the half that is asked first."""
    size, refusals = batch_size, 1
    while size > 1:
        size -= size // 2  # the larger half
        refusals += 1
    assert not failures("r" * refusals, batch_size=batch_size)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("R", False),
        ("aaaR", False),
        ("Ra", True),
        ("Rr", False),
        ("Rra", True),
        ("aRrrrr", False),
        ("aRrrrra", True),
    ],
)
def test_an_inquiry_is_at_fault_only_if_a_later_call_was_answered(calls: str, expected: bool) -> None:
    """`R`: the refusal in question."""
    evidence = Evidence(10)
    since = evidence.now()
    for call in calls:
        mark = evidence.begin()
        if call == "a":
            evidence.on_answer(mark)
        else:
            evidence.on_refusal()
        if call == "R":
            since = evidence.now()
    assert evidence.answered_since(since) == expected


def test_an_answer_to_a_call_that_began_before_the_refusal_is_no_evidence() -> None:
    """Interleaving: calls A and B begin · B is refused · A is answered: perhaps before the institution changed."""
    evidence = Evidence(10)
    earlier = evidence.begin()
    evidence.begin()
    evidence.on_refusal()
    since = evidence.now()
    evidence.on_answer(earlier)
    assert not evidence.answered_since(since)
