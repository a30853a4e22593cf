"""Who asks about what: exactly one worker about each subject, and no more of anything than the host is allowed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.ownership import ALONE, Ownership
from broker.core.subjects.key import SIZE, Keyer
from broker.model import SubjectType

WORKERS = st.integers(min_value=1, max_value=256)


def pool(workers: int) -> list[Ownership]:
    return [Ownership(slot, workers) for slot in range(workers)]


@given(total=st.integers(min_value=0, max_value=10**9), workers=WORKERS)
def test_shares_are_about_equal_and_add_up(total: int, workers: int) -> None:
    shares = [each.share(total) for each in pool(workers)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(key=st.binary(min_size=SIZE, max_size=SIZE), workers=WORKERS)
def test_every_key_has_one_owner_whoever_says_so(key: bytes, workers: int) -> None:
    (owner,) = {each.owner(key) for each in pool(workers)}
    assert 0 <= owner < workers


@given(key=st.binary(min_size=SIZE, max_size=SIZE))
def test_who_is_alone_owns_everything(key: bytes) -> None:
    assert ALONE.owner(key) == ALONE.slot


@pytest.mark.parametrize("workers", [2, 3, 7, 64])
def test_owners_own_about_equally_much(workers: int) -> None:
    """Of real keys: consecutive numbers, as an office hands them out."""
    count = 1_000 * workers
    numbers = [f"{number:018}" for number in range(count)]
    keys = Keyer(b"k" * 32).keys([SubjectType.RESIDENT_ID] * count, numbers, [""] * count)
    owned = Counter(map(Ownership(0, workers).owner, keys))
    assert len(owned) == workers
    # Five standard deviations of a binomial distribution with mean 1,000.
    assert all(abs(owns - 1_000) < 160 for owns in owned.values())
