"""How much is sent next: the table at the head of `pacing`, and its bounds as a property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.pacing import next_batch
from broker.model import Priority


@pytest.mark.parametrize(
    ("interactive", "queued", "at_once", "size"),
    [
        pytest.param(0, 0, 500, 0, id="nothing queued"),
        pytest.param(0, 3, 500, 3, id="all there is"),
        pytest.param(0, 900, 1000, 500, id="no more than one call takes"),
        pytest.param(0, 900, 70, 70, id="all that may be sent at once"),
        pytest.param(0, 900, 0, 20, id="else what a second pays for"),
        pytest.param(0, 3, 0, 3, id="less, if that is all"),
        pytest.param(2, 900, 0, 2, id="interactive work does not wait for bulk work's tokens"),
        pytest.param(2, 900, 70, 70, id="but takes it along if there are tokens"),
        pytest.param(300, 900, 0, 20, id="nor for more than a second"),
    ],
)
def test_what_is_sent_next(interactive: int, queued: int, at_once: int, size: int) -> None:
    wanted = next_batch(interactive, queued, at_once=at_once, batch_size=500, rate=20)
    assert wanted.size == size
    assert wanted.priority is (Priority.INTERACTIVE if interactive else Priority.BULK)


def test_at_less_than_one_a_second_one_is_sent_at_a_time() -> None:
    assert next_batch(0, 9, at_once=0, batch_size=500, rate=0.1).size == 1


@given(
    interactive=st.integers(0, 50),
    bulk=st.integers(0, 50),
    at_once=st.integers(0, 50),
    batch_size=st.integers(1, 50),
    rate=st.floats(0.01, 100),
)
def test_bounds(interactive: int, bulk: int, at_once: int, batch_size: int, rate: float) -> None:
    queued = interactive + bulk
    size, _ = next_batch(interactive, queued, at_once=at_once, batch_size=batch_size, rate=rate)
    assert size <= min(queued, batch_size)
    assert (size > 0) == (queued > 0)
    assert size <= max(at_once, rate, 1), "what is not there is there within a second, or one at a time"
    assert size >= min(queued, batch_size, at_once), "nothing that could be sent at once waits"
