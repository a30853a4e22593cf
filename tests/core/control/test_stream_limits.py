"""How long a stream may take, and who reads it too slowly."""

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.core.control.stream_limits import ReaderPace, time_limits


@pytest.mark.parametrize(
    ("callers", "answers", "stream"),
    [
        (None, 29.5, 30.0),  # the default, with the largest margin
        (4.0, 3.8, 4.0),  # a twentieth
        (0.2, 0.18, 0.2),  # the smallest margin
        (0.01, -0.01, 0.01),  # no time to ask anybody
        (-1.0, -1.02, -1.0),
        (3_600.0, 599.5, 600.0),  # more than is allowed
    ],
)
def test_institutions_are_waited_for_a_little_less_long_than_the_stream_may_take(
    callers: float | None, answers: float, stream: float
) -> None:
    assert time_limits(callers, default=30.0, longest=600.0) == pytest.approx((answers, stream))


def test_the_default_is_no_longer_than_the_longest() -> None:
    assert time_limits(None, default=30.0, longest=10.0).stream == 10.0


def cut_off_at(messages: Sequence[tuple[float, int, float]], *, min_rate: float, max_lag: float) -> float:
    """When a reader is cut off, if at all: by pauses before messages, their sizes, and how long it takes for each."""
    pace, now = ReaderPace(min_rate=min_rate, max_lag=max_lag), 0.0
    for pause, size, seconds in messages:
        now += pause
        due = pace.offer(size, now)
        if now + seconds > due:
            return due
        now += seconds
        pace.taken(now)
    return inf


@pytest.mark.parametrize(
    ("messages", "cut_off"),
    [
        # At 100 bytes per second, with a lag of 10 s.
        ([(0, 100, 0.0)] * 50, inf),
        ([(0, 100, 1.0)] * 50, inf),  # just fast enough
        ([(0, 1_000, 20.0)], inf),  # 10 s behind
        ([(0, 1_000, 20.1)], 20.0),
        ([(0, 1_000, 20.0), (0, 1_000, 10.0)], inf),  # no further
        ([(0, 1_000, 20.0), (0, 1_000, 10.1)], 30.0),
        ([(0, 1_000, 20.0), (0, 1_000, 0.0), (0, 1_000, 20.0)], inf),  # it has caught up
        ([(0, 1, 0.0)] * 500 + [(0, 1_000, 20.1)], 20.0),  # speed is not saved up
        ([(0, 100, 1.5)] * 50, 31.0),  # half a second further behind with each
        ([(0, 1_000, 20.0), (3_600, 1_000, 10.0)], inf),  # the broker's own pauses do not count
        ([(3_600, 1_000, 20.1)], 3_620.0),
        ([(0, 1, 1e9)], 10.01),
    ],
)
def test_who_reads_too_slowly(messages: Sequence[tuple[float, int, float]], cut_off: float) -> None:
    assert cut_off_at(messages, min_rate=100.0, max_lag=10.0) == pytest.approx(cut_off)


sizes = st.lists(st.integers(1, 1_000_000), min_size=1, max_size=50)
rates = st.floats(1, 1e6)
lags = st.floats(0.1, 100)
paces = st.floats(0.01, 100)


@given(sizes, rates, lags, paces)
def test_a_reader_at_a_steady_pace_is_cut_off_if_that_is_too_slow_for_long(
    sizes: list[int], rate: float, lag: float, pace: float
) -> None:
    behind = sum(sizes) / (rate * pace) - sum(sizes) / rate
    assume(not 0.999 * lag < behind < 1.001 * lag)
    messages = [(0.0, size, size / (rate * pace)) for size in sizes]
    assert (cut_off_at(messages, min_rate=rate, max_lag=lag) == inf) is (behind < lag)


@given(sizes, rates, lags)
def test_no_reader_holds_a_stream_longer_than_its_bytes_and_the_lag_allow(
    sizes: list[int], rate: float, lag: float
) -> None:
    pace, now = ReaderPace(min_rate=rate, max_lag=lag), 0.0
    for size in sizes:  # each just in time
        now = pace.offer(size, now)
        pace.taken(now)
    assert now <= (sum(sizes) / rate + lag) * 1.001
