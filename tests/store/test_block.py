"""Blocks: what was built is found again in the locations told, and a block fills its page and no more."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from broker.store import block

PAGE = 4096
LMDB_HEADER = 16

records = st.lists(st.one_of(st.binary(min_size=1, max_size=60), st.integers(1, 6_000).map(bytes)), max_size=80)


def build(sealed: list[bytes], first: int = 1) -> tuple[list[bytes], list[tuple[int, int, int | None]]]:
    """The blocks, and of each record the number of its block, and its span."""
    tags = np.arange(1, len(sealed) + 1, dtype=np.uint64)
    blocks, locations = block.build(first, tags, range(100, 100 + len(sealed)), sealed)
    return blocks, list(zip(block.numbers_of(locations).tolist(), *block.spans_of(locations), strict=True))


@given(records, st.integers(1, 2**40 - 100))
def test_what_was_built_is_found_at_its_location(sealed: list[bytes], first: int) -> None:
    blocks, spans = build(sealed, first)
    assert [blocks[number - first][start:end] for number, start, end in spans] == sealed


@given(records)
def test_a_look_along_the_log_tells_the_same(sealed: list[bytes]) -> None:
    tags = np.arange(1, len(sealed) + 1, dtype=np.uint64)
    blocks, locations = block.build(7, tags, range(100, 100 + len(sealed)), sealed)
    rows, again = block.rows_of(range(7, 7 + len(blocks)), blocks)
    assert again.tolist() == locations.tolist()
    assert rows["tag"].tolist() == tags.tolist()
    assert rows["expires"].tolist() == list(range(100, 100 + len(sealed)))
    assert sum(map(block.count_of, blocks)) == len(sealed)


@given(records)
def test_a_block_is_one_page_unless_a_record_is_longer(sealed: list[bytes]) -> None:
    blocks, _ = build(sealed)
    assert all(len(each) <= PAGE - LMDB_HEADER or block.count_of(each) == 1 for each in blocks)


def test_pages_are_filled() -> None:
    blocks, _ = build([bytes(350)] * 1_100)
    assert len(blocks) == 100


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_noise_tells_nothing_and_raises_nothing(noise: list[bytes]) -> None:
    rows, locations = block.rows_of(range(len(noise)), noise)
    assert len(rows) == len(locations)
