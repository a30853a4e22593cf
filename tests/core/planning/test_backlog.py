"""The backlog: first in, first out within a priority; interactive first; cut to size, to the inquiry."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.backlog import Backlog
from broker.core.planning.parcel import CallBatch
from broker.model import Priority
from tests.fakes import Recorder, key, parcel

priorities = st.sampled_from(Priority)


def filled(*parcels: tuple[Priority, int]) -> Backlog:
    """A backlog of parcels of these priorities and sizes, whose numbers count through."""
    backlog, start = Backlog(), 0
    for priority, size in parcels:
        backlog.add(parcel(Recorder(), range(start, start + size), priority=priority))
        start += size
    return backlog


def numbers(batch: CallBatch) -> list[int]:
    return [row for one in batch.parcels for row in one.rows]


def test_interactive_goes_first_whenever_it_came() -> None:
    backlog = filled((Priority.BULK, 2), (Priority.INTERACTIVE, 1), (Priority.BULK, 1), (Priority.INTERACTIVE, 2))
    assert numbers(backlog.cut(10)) == [2, 4, 5, 0, 1, 3]


def test_a_batch_is_filled_up_with_bulk() -> None:
    backlog = filled((Priority.BULK, 3), (Priority.INTERACTIVE, 1))
    assert numbers(backlog.cut(2)) == [3, 0]
    assert numbers(backlog.cut(2)) == [1, 2]


def test_what_somebody_begins_to_wait_for_goes_ahead() -> None:
    backlog = filled((Priority.BULK, 4), (Priority.BULK, 2), (Priority.INTERACTIVE, 1))
    backlog.promote([key(1), key(3), key(5), key(99)])
    assert (len(backlog), backlog.interactive) == (7, 4)
    batch = backlog.cut(10)
    assert numbers(batch) == [6, 1, 3, 5, 0, 2, 4]
    assert [one.priority for one in batch.parcels for _ in one.rows] == [Priority.INTERACTIVE] * 4 + [Priority.BULK] * 3


def test_a_parcel_wanted_as_a_whole_goes_ahead_as_a_whole() -> None:
    backlog = filled((Priority.BULK, 2), (Priority.BULK, 2))
    backlog.promote([key(2), key(3)])
    assert numbers(backlog.cut(10)) == [2, 3, 0, 1]


def test_the_rest_of_a_cut_parcel_keeps_its_place() -> None:
    backlog = filled((Priority.INTERACTIVE, 5), (Priority.INTERACTIVE, 2))
    assert [numbers(backlog.cut(3)) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6], []]


def test_an_interactive_parcel_overtakes_the_rest_of_a_bulk_one() -> None:
    backlog = filled((Priority.BULK, 4))
    assert numbers(backlog.cut(2)) == [0, 1]
    backlog.add(parcel(Recorder(), [9], priority=Priority.INTERACTIVE))
    assert numbers(backlog.cut(2)) == [9, 2]


@given(st.lists(st.tuples(priorities, st.integers(1, 7)), max_size=8), st.lists(st.integers(0, 9), max_size=20))
def test_every_inquiry_comes_out_once_in_order_and_cuts_are_full(
    parcels: list[tuple[Priority, int]], sizes: list[int]
) -> None:
    backlog = filled(*parcels)
    total = len(backlog)
    assert total == sum(size for _, size in parcels)
    starts = [sum(size for _, size in parcels[:index]) for index in range(len(parcels))]
    expected = [
        number
        for wanted in Priority
        for (priority, size), start in zip(parcels, starts, strict=True)
        if priority is wanted
        for number in range(start, start + size)
    ]
    out: list[int] = []
    for size in [*sizes, total]:
        held = len(backlog)
        batch = backlog.cut(size)
        assert len(batch) == min(size, held)
        assert len(backlog) == held - len(batch)
        out += numbers(batch)
        interactive = sum(size for priority, size in parcels if priority is Priority.INTERACTIVE)
        assert backlog.interactive == max(0, interactive - len(out))
    assert out == expected


@given(st.lists(st.tuples(priorities, st.integers(1, 5)), max_size=8), st.sets(st.integers(0, 7)))
def test_removing_takes_exactly_what_is_unwanted(parcels: list[tuple[Priority, int]], unwanted: set[int]) -> None:
    backlog = Backlog()
    added = [parcel(Recorder(), range(i * 10, i * 10 + size), priority=p) for i, (p, size) in enumerate(parcels)]
    for one in added:
        backlog.add(one)
    gone = backlog.remove(lambda one: one.rows[0] // 10 in unwanted)
    assert {id(one) for one in gone} == {id(one) for i, one in enumerate(added) if i in unwanted}
    assert len(backlog) == sum(len(one) for i, one in enumerate(added) if i not in unwanted)
    assert backlog.interactive == sum(
        len(one) for i, one in enumerate(added) if i not in unwanted and one.priority is Priority.INTERACTIVE
    )
    left = numbers(backlog.cut(len(backlog)))
    assert sorted(left) == sorted(row for i, one in enumerate(added) if i not in unwanted for row in one.rows)


def test_nothing_comes_out_of_an_empty_backlog() -> None:
    assert len(Backlog().cut(5)) == 0
    assert Backlog().remove(lambda _: True) == []
