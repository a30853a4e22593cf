"""Lookups about one subject go to its owner together, and others do not wait for them."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.chunk import Chunk, LookupColumns
from broker.peers.grouping import OwnerGroups
from tests.fakes import key, subject


def chunk(numbers: Sequence[int], first: int = 0) -> Chunk:
    return Chunk(
        LookupColumns(
            heads=[b"head"] * len(numbers),
            types=[1] * len(numbers),
            keys=[key(number) for number in numbers],
            subjects=[subject(number) for number in numbers],
            problems={},
        ),
        range(first, first + len(numbers)),
    )


def grouped(chunks: Sequence[Chunk], owners: int = 2) -> tuple[list[tuple[int, Chunk]], list[tuple[int, Chunk]]]:
    """What is forwarded at once, and what in the end, if every lookup is another worker's."""
    groups = OwnerGroups(chunks)
    at_once: list[tuple[int, Chunk]] = []
    for one in chunks:
        by_owner: dict[int, list[int]] = {}
        for index, each in enumerate(one.columns.keys):
            by_owner.setdefault(each[-1] % owners, []).append(index)
        at_once += groups.add(one, by_owner)
    return at_once, list(groups.rest())


def test_what_occurs_in_one_chunk_is_forwarded_at_once() -> None:
    at_once, rest = grouped([chunk([1, 2, 1]), chunk([3, 4], first=3)])
    assert [(owner, list(one.positions)) for owner, one in at_once] == [(1, [0, 2]), (0, [1]), (1, [3]), (0, [4])]
    assert rest == []


def test_what_recurs_waits_for_the_last_chunk() -> None:
    at_once, rest = grouped([chunk([1, 2]), chunk([1, 3], first=2), chunk([1], first=4)])
    assert [(owner, list(one.positions)) for owner, one in at_once] == [(0, [1]), (1, [3])]
    assert [(owner, list(one.positions)) for owner, one in rest] == [(1, [0, 2, 4])]


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=4))
def test_each_lookup_goes_once_and_each_subject_in_one_forward_request(numbers: list[list[int]]) -> None:
    chunks, first = [], 0
    for some in numbers:
        chunks.append(chunk(some, first))
        first += len(some)
    at_once, rest = grouped(chunks)
    forwarded = [one for _, one in (*at_once, *rest)]
    assert sorted(position for one in forwarded for position in one.positions) == list(range(first))
    requests_by_key: dict[bytes, set[int]] = {}
    for number, one in enumerate(forwarded):
        for each in one.columns.keys:
            requests_by_key.setdefault(each, set()).add(number)
    assert all(len(numbers_) == 1 for numbers_ in requests_by_key.values())
