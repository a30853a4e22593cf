"""The token bucket: moments as tables, the bound over every window as a property."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.token_bucket import TokenBucket


@pytest.mark.parametrize(
    ("taken", "n", "due"),
    [
        ([], 10, -inf),
        ([(0.0, 4), (0.0, 6)], 1, 0.5),
        ([(0.0, 10)], 10, 5.0),
        ([(0.0, 10), (5.0, 10)], 1, 5.5),
        ([(0.0, 10), (1000.0, 10)], 2, 1001.0),
        ([(0.0, 3), (1000.0, 4)], 6, 1000.0),
    ],
    ids=[
        "full at first",
        "one is missing",
        "all are missing",
        "filled again",
        "never above the burst",
        "some are left",
    ],
)
def test_when_tokens_are_due(taken: list[tuple[float, int]], n: int, due: float) -> None:
    bucket = TokenBucket(rate=2, burst=10, empty_at=-inf)
    for now, size in taken:
        bucket.take(size, now)
    assert bucket.due(n) == pytest.approx(due)


def test_tokens_come_with_time_up_to_the_burst() -> None:
    bucket = TokenBucket(rate=2, burst=10, empty_at=-inf)
    assert bucket.tokens(100.0) == pytest.approx(10)
    bucket.take(10, 100.0)
    assert bucket.tokens(100.0) == pytest.approx(0)
    assert bucket.tokens(104.0) == pytest.approx(8)
    assert bucket.tokens(500.0) == pytest.approx(10)


def test_one_that_is_empty_fills_from_then_on() -> None:
    bucket = TokenBucket(rate=2, burst=10, empty_at=100.0)
    assert [bucket.tokens(now) for now in (99.0, 100.0, 103.0, 500.0)] == pytest.approx([0, 0, 6, 10])
    assert bucket.due(4) == pytest.approx(102)


def test_more_than_the_burst_is_never_due() -> None:
    with pytest.raises(ValueError, match="11 tokens at once are more than its burst"):
        TokenBucket(rate=2, burst=10, empty_at=-inf).due(11)


def test_a_pause_empties_the_bucket_until_it_ends() -> None:
    bucket = TokenBucket(rate=2, burst=10, empty_at=-inf)
    bucket.pause(30.0)
    assert bucket.paused_until == 30.0
    assert bucket.tokens(29.0) == 0
    assert bucket.due(4) == pytest.approx(30 + 2)


def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    bucket = TokenBucket(rate=2, burst=10, empty_at=-inf)
    bucket.pause(30.0)
    bucket.pause(10.0)
    assert bucket.paused_until == 30.0
    assert bucket.tokens(30.0) == pytest.approx(0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_a_bucket_that_never_fills_is_rejected(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(rate, burst, -inf)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.just("pass"), st.floats(0, 30)),
        st.tuples(st.just("pause"), st.floats(-5, 30)),
    ),
    max_size=40,
)


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), steps=STEPS)
def test_no_window_sees_more_than_the_rate_and_one_burst(
    rate: float, burst: int, steps: list[tuple[str, float]]
) -> None:
    """Callers who take tokens as soon as they are due, and find that the institution wants a pause meanwhile."""
    bucket = TokenBucket(rate, burst, -inf)
    now = 0.0
    sent: list[tuple[float, int]] = []
    for step, value in steps:
        if step == "pass":
            now += value
        elif step == "pause":
            bucket.pause(now + value)
        else:
            n = min(int(value), burst)
            now = max(now, bucket.due(n))
            assert now >= bucket.paused_until
            bucket.take(n, now)
            sent.append((now, n))
    for i, (opening, _) in enumerate(sent):
        total = 0
        for moment, n in sent[i:]:
            total += n
            assert total <= burst + rate * (moment - opening) + 1e-6


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20), sizes=st.lists(st.integers(1, 20), min_size=1))
def test_a_busy_bucket_wastes_nothing(rate: float, burst: int, sizes: list[int]) -> None:
    sizes = [min(size, burst) for size in sizes]
    bucket = TokenBucket(rate, burst, -inf)
    now = 0.0
    for size in sizes:
        now = max(now, bucket.due(size))
        bucket.take(size, now)
    assert now == pytest.approx(max(0.0, (sum(sizes) - burst) / rate), abs=1e-6)
