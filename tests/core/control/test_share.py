"""What workers may ask together is what their institution takes from the host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.share import burst_of, max_workers, share_of
from broker.core.planning.ownership import Ownership
from broker.institutions.stub import stub_spec


@given(
    workers=st.integers(1, 16),
    concurrency=st.integers(1, 32),
    rate=st.floats(0.01, 1e6),
    batch_size=st.integers(1, 1000),
)
def test_parts_are_no_more_than_the_whole_and_none_is_nothing(
    workers: int, concurrency: int, rate: float, batch_size: int
) -> None:
    spec = stub_spec(concurrency=concurrency, rate=rate, batch_size=batch_size)
    workers = min(workers, max_workers(spec))
    parts = [share_of(spec, Ownership(slot, workers)) for slot in range(workers)]
    assert sum(part.concurrency for part in parts) == concurrency
    assert sum(part.rate for part in parts) == pytest.approx(rate)
    assert sum(burst_of(part) for part in parts) <= burst_of(spec) * (1 + 1e-9)
    assert all(1 <= part.batch_size <= batch_size and part.concurrency >= 1 for part in parts)


@pytest.mark.parametrize(
    ("rate", "workers", "batch_size"),
    [(1e6, 8, 500), (1000, 1, 500), (1000, 2, 500), (1000, 8, 125), (20, 8, 62), (1, 8, 62)],
)
def test_batches_are_as_large_as_a_part_of_the_burst_allows(rate: float, workers: int, batch_size: int) -> None:
    spec = stub_spec(rate=rate, batch_size=500, concurrency=8)
    assert share_of(spec, Ownership(0, workers)).batch_size == batch_size


@pytest.mark.parametrize(
    ("concurrency", "rate", "batch_size", "workers"),
    [(8, 1000, 500, 8), (4, 1000, 500, 4), (8, 2.5, 1, 2), (8, 2, 5, 5), (8, 0.1, 1, 1)],
)
def test_how_many_workers_can_share_an_institution(
    concurrency: int, rate: float, batch_size: int, workers: int
) -> None:
    assert max_workers(stub_spec(concurrency=concurrency, rate=rate, batch_size=batch_size)) == workers
