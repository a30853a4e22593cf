"""Freshness: what is accepted at which age, as a table, and the head-wise check against the one of single answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.freshness import Freshness
from broker.core.wire.record import heads_of

FOREVER = 2**32 - 1


@pytest.mark.parametrize(
    ("now", "max_age", "observed", "expires", "accepted"),
    [
        pytest.param(1000.5, None, 0, 1001, True, id="any age"),
        pytest.param(1000.5, None, 0, 1000, False, id="it has expired"),
        pytest.param(1000.5, None, 1000, 1001, True, id="observed within this second"),
        pytest.param(1000.5, None, 1001, FOREVER, False, id="observed after now"),
        pytest.param(1000.5, None, 5000, FOREVER, False, id="observed before the clock was set back"),
        pytest.param(1000.5, 60, 941, FOREVER, True, id="younger than a minute"),
        pytest.param(1000.5, 60, 940, FOREVER, False, id="perhaps older than a minute"),
        pytest.param(1000.0, 60, 940, FOREVER, False, id="a minute old, or almost"),
        pytest.param(1000.5, 60, 1001, FOREVER, False, id="observed after now, though not too old"),
        pytest.param(1000.5, 0, 1000, FOREVER, False, id="age zero: not even of this second"),
        pytest.param(1000.0, 0, 1000, FOREVER, False, id="age zero, on the second"),
        pytest.param(1000.5, 0, 1001, FOREVER, False, id="age zero: the clock was set back"),
        pytest.param(1000.5, 0, 9999, FOREVER, False, id="age zero: set back by hours"),
        pytest.param(1000.9, 0.5, 1000, FOREVER, False, id="half a second, which the second may exceed"),
        pytest.param(1000.1, 1.2, 999, FOREVER, True, id="a second and a bit"),
    ],
)
def test_what_is_accepted(now: float, max_age: float | None, observed: int, expires: int, accepted: bool) -> None:
    assert Freshness.at(now, max_age).accepts(observed, expires) == accepted


times = st.integers(995, 1005)


@given(times, times, times, times)
def test_nothing_is_accepted_where_the_cache_need_not_be_read(
    now: int, oldest: int, observed: int, expires: int
) -> None:
    freshness = Freshness(now, oldest)
    if not freshness.accepts_any:
        assert not freshness.accepts(observed, expires)


@given(st.floats(0, 2e9), st.none() | st.floats(0, 1e9), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_nothing_accepted_is_of_the_future_or_too_old(
    now: float, max_age: float | None, observed: int, expires: int
) -> None:
    if Freshness.at(now, max_age).accepts(observed, expires):
        assert observed <= now < expires
        assert max_age is None or now - observed <= max_age


@given(
    st.integers(1, 3).flatmap(
        lambda count: st.lists(st.lists(st.tuples(times, times), min_size=count, max_size=count), max_size=5)
    ),
    times,
    times,
)
def test_records_are_accepted_if_all_their_answers_are(
    records: list[list[tuple[int, int]]], now: int, old: int
) -> None:
    freshness = Freshness(now, old)
    heads = np.zeros(len(records), heads_of(len(records[0]) if records else 1))
    for head, answers in zip(heads, records, strict=True):
        head["observed"] = min(observed for observed, _ in answers)
        head["expires"] = min(expires for _, expires in answers)
        head["each"] = answers
    expected = [all(freshness.accepts(*answer) for answer in answers) for answers in records]
    assert freshness.accepts_all(heads).tolist() == expected
