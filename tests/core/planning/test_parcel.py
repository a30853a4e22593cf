"""Parcels and batches: every way of cutting keeps the columns aligned and loses nothing."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.parcel import CallBatch, Parcel
from broker.model import Priority, Subject
from tests.fakes import Recorder, key, parcel, subject

sizes = st.lists(st.integers(0, 6), min_size=1, max_size=6)


def lines(one: Parcel) -> list[tuple[bytes, Subject, int]]:
    return list(zip(one.keys, one.subjects, one.rows, strict=True))


def batch_of(lengths: Sequence[int]) -> CallBatch:
    """A batch of parcels of these sizes, with numbers counting through."""
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return CallBatch(
        [parcel(Recorder(), range(start, start + size)) for start, size in zip(starts, lengths, strict=True) if size]
    )


def numbers(batch: CallBatch) -> list[int]:
    return [row for one in batch.parcels for row in one.rows]


@given(st.integers(1, 8), st.data())
def test_picking_keeps_columns_aligned(size: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, size - 1), unique=True))
    whole = parcel(Recorder(), range(size))
    picked = whole.pick(indices)
    assert lines(picked) == [lines(whole)[index] for index in indices]
    assert (picked.waiter, picked.mandate, picked.priority, picked.column) == (
        whole.waiter,
        whole.mandate,
        whole.priority,
        whole.column,
    )


@given(st.integers(1, 8), st.integers(0, 9))
def test_the_parts_of_a_split_are_the_whole(size: int, at: int) -> None:
    whole = parcel(Recorder(), range(size))
    first, others = whole.split(at)
    assert lines(first) + lines(others) == lines(whole)
    assert len(first) == min(at, size)


def test_a_whole_parcel_is_addressed_without_a_copy() -> None:
    whole = parcel(Recorder(), range(3))
    addressed = whole.addressed(5, [0, 1, 2])
    assert addressed.column == 5
    assert addressed.keys is whole.keys
    assert lines(whole.addressed(2, [0, 2])) == [lines(whole)[0], lines(whole)[2]]


@given(sizes)
def test_items_count_through_all_parcels(lengths: list[int]) -> None:
    batch = batch_of(lengths)
    assert len(batch) == sum(lengths)
    assert batch.keys == [key(number) for number in range(len(batch))]
    assert batch.subjects == [subject(number) for number in range(len(batch))]
    for one, span in batch.spans():
        assert batch.keys[span] == one.keys


@given(sizes, st.data())
def test_a_picked_batch_is_the_items_asked_for(lengths: list[int], data: st.DataObject) -> None:
    batch = batch_of(lengths)
    items = sorted(data.draw(st.sets(st.integers(0, len(batch) - 1)))) if len(batch) else []
    picked = batch.pick(items)
    assert numbers(picked) == items
    assert all(len(one) for one in picked.parcels), "a parcel of nothing is nobody's business"
    by_waiter = {one.waiter for one in batch.parcels}
    assert {one.waiter for one in picked.parcels} <= by_waiter


@given(sizes)
def test_halves_are_the_whole(lengths: list[int]) -> None:
    batch = batch_of(lengths)
    first, second = batch.halves()
    assert numbers(first) + numbers(second) == numbers(batch)
    assert 0 <= len(second) - len(first) <= 1


@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(1, 4)), max_size=6))
def test_by_priority_interactive_parcels_come_first_and_nothing_is_lost(parcels: list[tuple[Priority, int]]) -> None:
    whole = CallBatch([parcel(Recorder(), range(size), priority=priority) for priority, size in parcels])
    parts = whole.by_priority()
    assert [[one.priority for one in part.parcels] for part in parts] == [
        [priority] * count for priority in Priority if (count := [one for one, _ in parcels].count(priority))
    ]
    assert {one.waiter for part in parts for one in part.parcels} == {one.waiter for one in whole.parcels}


class CountedNumber(int):
    """An item that counts how often any of its kind is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        CountedNumber.compared += 1
        return int(self) < int(other)

    def __le__(self, other: int) -> bool:
        CountedNumber.compared += 1
        return int(self) <= int(other)


def test_picking_is_no_work_per_item_and_parcel() -> None:
    # Five hundred courts asking about one debtor each is one batch of five hundred parcels.
    items = [CountedNumber(item) for item in range(500)]
    batch_of([1] * 500).pick(items)
    assert CountedNumber.compared <= 500 * 10, "looked through all items for every parcel"
