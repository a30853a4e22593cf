"""The token bucket: waits as tables, the bound over every window as a property."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.control.token_bucket import TokenBucket


@pytest.mark.parametrize(
    ("reservations", "waits"),
    [
        ([(0.0, 10)], [0.0]),
        ([(0.0, 4), (0.0, 6), (0.0, 1)], [0.0, 0.0, 0.5]),
        ([(0.0, 10), (0.0, 10), (0.0, 10)], [0.0, 5.0, 10.0]),
        ([(0.0, 10), (5.0, 10), (5.0, 1)], [0.0, 0.0, 0.5]),
        ([(0.0, 10), (1000.0, 10), (1000.0, 2)], [0.0, 0.0, 1.0]),
        ([(0.0, 30)], [10.0]),
    ],
    ids=["full at first", "shared", "in order", "filled again", "never above the burst", "more than the burst"],
)
def test_waits(reservations: list[tuple[float, int]], waits: list[float]) -> None:
    bucket = TokenBucket(rate=2, burst=10, now=0.0)
    assert [bucket.reserve(n, now) for now, n in reservations] == pytest.approx(waits)


def test_tokens_are_negative_while_in_debt() -> None:
    bucket = TokenBucket(rate=2, burst=10, now=100.0)
    assert bucket.tokens(100.0) == pytest.approx(10)
    bucket.reserve(16, 100.0)
    assert bucket.tokens(100.0) == pytest.approx(-6)
    assert bucket.tokens(104.0) == pytest.approx(2)
    assert bucket.tokens(500.0) == pytest.approx(10)


def test_cancelling_the_newest_reservation_gives_all_of_it_back() -> None:
    bucket = TokenBucket(rate=1, burst=10, now=0.0)
    bucket.reserve(10, 0.0)
    due = bucket.reserve(7, 0.0)
    bucket.cancel(7, due)
    assert bucket.reserve(7, 0.0) == pytest.approx(due)


def test_cancelling_does_not_let_a_newcomer_go_out_with_those_behind() -> None:
    bucket = TokenBucket(rate=1, burst=10, now=0.0)
    bucket.reserve(10, 0.0)
    due = bucket.reserve(10, 0.0)
    behind = bucket.reserve(10, 0.0)
    bucket.cancel(10, due)
    assert bucket.reserve(10, 0.0) == pytest.approx(behind + 10)


def test_a_penalty_empties_the_bucket_until_it_ends() -> None:
    bucket = TokenBucket(rate=2, burst=10, now=0.0)
    bucket.penalise(30.0)
    assert bucket.penalised_until == 30.0
    assert bucket.reserve(4, 1.0) == pytest.approx(29 + 2)


def test_a_shorter_penalty_does_not_shorten_a_longer_one() -> None:
    bucket = TokenBucket(rate=2, burst=10, now=0.0)
    bucket.penalise(30.0)
    bucket.penalise(10.0)
    assert bucket.penalised_until == 30.0
    assert bucket.tokens(30.0) == pytest.approx(0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_a_bucket_that_never_fills_is_rejected(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(rate, burst, 0.0)


def assert_within_every_window(sent: list[tuple[float, int]], rate: float, burst: float) -> None:
    """`sent` are pairs of moment and number of inquiries."""
    sent = sorted(sent)
    for i, (opening, _) in enumerate(sent):
        total = 0
        for moment, n in sent[i:]:
            total += n
            assert total <= burst + rate * (moment - opening) + 1e-6


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 20)),
        st.tuples(st.just("pass"), st.floats(0, 30)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("penalise"), st.floats(-5, 30)),
    ),
    max_size=40,
)


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), steps=STEPS)
@example(rate=1, burst=10, steps=[("reserve", 10)] * 3 + [("pass", 1.0), ("cancel", 0), ("reserve", 10)])
@example(rate=1, burst=10, steps=[("reserve", 10)] * 3 + [("penalise", 15.0), ("reserve", 10)])
def test_no_window_sees_more_than_the_rate_and_one_burst(
    rate: float, burst: int, steps: list[tuple[str, float]]
) -> None:
    """Callers who wait as told, cancel while they wait, and reserve anew when a penalty voids what they were told."""
    bucket = TokenBucket(rate, burst, 0.0)
    now = 0.0
    waiting: list[tuple[float, int]] = []
    sent: list[tuple[float, int]] = []
    for step, value in steps:
        if step == "reserve":
            waiting.append((now + bucket.reserve(int(value), now), int(value)))
        elif step == "pass":
            sent += [call for call in waiting if call[0] < now + value]
            waiting = [call for call in waiting if call[0] >= now + value]
            now += value
        elif step == "cancel" and waiting:
            due, n = waiting.pop(int(value) % len(waiting))
            bucket.cancel(n, due)
        elif step == "penalise":
            sent += [call for call in waiting if call[0] <= now]
            bucket.penalise(now + value)
            waiting = [
                (now + bucket.reserve(n, now), n) if due < bucket.penalised_until else (due, n)
                for due, n in waiting
                if due > now
            ]
            assert all(due >= bucket.penalised_until for due, _ in waiting)
    largest = max((int(value) for step, value in steps if step == "reserve"), default=0)
    assert_within_every_window(sent + waiting, rate, max(burst, largest))


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), sizes=st.lists(st.integers(1, 20), min_size=1))
def test_a_busy_bucket_wastes_nothing(rate: float, burst: int, sizes: list[int]) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    waits = [bucket.reserve(n, 0.0) for n in sizes]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(max(0.0, (sum(sizes) - burst) / rate), abs=1e-6)
