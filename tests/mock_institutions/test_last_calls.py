"""The map from keys to last calls: a dict's answers in bounded memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mock_institutions.last_calls import NEVER, LastCalls


def keys_from(*keys: int) -> NDArray[np.uint64]:
    return np.array(keys, dtype=np.uint64)


@given(st.lists(st.sets(st.integers(1, 60) | st.integers(1, 2**64 - 1), min_size=1, max_size=30), max_size=20))
def test_it_remembers_as_a_dict_does(calls: list[set[int]]) -> None:
    last_calls, plain = LastCalls(), dict[int, int]()
    for call, keys in enumerate(calls):
        before = last_calls.swap(keys_from(*keys), np.full(len(keys), call), horizon=0)
        assert before.tolist() == [plain.get(key, NEVER) for key in keys]
        plain.update(dict.fromkeys(keys, call))


def test_it_remembers_through_every_move() -> None:
    """Tables fill and move many times; in every block some keys are old, some recent, some new."""
    rng, last_calls, plain = np.random.default_rng(1), LastCalls(), dict[int, int]()
    for call in range(200):
        keys = np.unique(rng.integers(1, 100 * (call + 1), 500).astype(np.uint64))
        before = last_calls.swap(keys, np.full(len(keys), call), horizon=0)
        assert before.tolist() == [plain.get(key, NEVER) for key in keys.tolist()]
        plain.update(dict.fromkeys(keys.tolist(), call))


def test_a_key_takes_few_bytes_and_what_is_out_of_date_none() -> None:
    last_calls, block = LastCalls(), 1000
    for call in range(300):
        keys = np.arange(call * block + 1, (call + 1) * block + 1, dtype=np.uint64)
        last_calls.swap(keys, np.full(block, call), horizon=0)
        if call > 10:
            assert last_calls.bytes <= 60 * (call + 1) * block  # while a table moves; 12 / 0.7 when it is full
    for call in range(300, 900):
        keys = np.arange(call * block + 1, (call + 1) * block + 1, dtype=np.uint64)
        last_calls.swap(keys, np.full(block, call), horizon=call - 10)
    assert last_calls.bytes <= 60 * 30 * block
