"""Misses of several chunks, gathered: the columns stay aligned, and everybody is asked what they would have been."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from broker.core.planning.chunk import Chunk, LookupColumns
from broker.core.planning.gathered_misses import GatheredMisses
from broker.core.planning.parcel import CallBatch
from broker.core.planning.plan import Plan
from broker.model import Delivery, Priority, Request
from tests.fakes import MANDATE, Recorder, key, subject

REQUEST = Request(
    mandate=MANDATE,
    institution_ids=(),
    kinds=frozenset(),
    max_age=7.0,
    priority=Priority.BULK,
    delivery=Delivery.COMPLETE,
    request_id="request-1",
)


def chunk(numbers: Sequence[int]) -> Chunk:
    columns = LookupColumns(
        heads=[b""] * len(numbers),
        types=[1] * len(numbers),
        keys=[key(number) for number in numbers],
        subjects=[subject(number) for number in numbers],
        problems={},
    )
    return Chunk(columns, range(len(numbers)))


def planned(misses: Sequence[int], asked: dict[int, list[int]]) -> Plan:
    return Plan(misses=list(misses), asked=defaultdict(list, asked))


def test_misses_of_two_chunks_make_one_submission() -> None:
    gathered, waiter = GatheredMisses(), Recorder()
    gathered.add(planned([0, 2], {0: [0, 1], 1: [1]}), chunk([10, 11, 12]), first_row=0)
    gathered.add(planned([1], {1: [0], 2: [0]}), chunk([13, 14]), first_row=2)
    assert len(gathered) == 3
    submission = gathered.submission(waiter, REQUEST)
    assert submission.max_age == 7.0
    asked = {
        column: [(int(one.number), row) for one, row in zip(parcel.subjects, parcel.rows, strict=True)]
        for column in submission.asked
        for parcel in [submission.parcel(column)]
    }
    assert asked == {0: [(10, 0), (12, 1)], 1: [(12, 1), (14, 2)], 2: [(14, 2)]}
    for column in submission.asked:
        parcel = submission.parcel(column)
        assert (parcel.column, parcel.waiter, parcel.priority) == (column, waiter, Priority.BULK)
        assert list(parcel.keys) == [key(int(one.number)) for one in parcel.subjects]


@pytest.mark.parametrize(("names", "may_differ"), [(["张三", "", "李四"], False), (["张三", "张\u3000三"], True)])
def test_a_submission_says_whether_a_name_may_have_another_spelling(names: list[str], may_differ: bool) -> None:
    whole = chunk(range(len(names)))
    subjects = [one._replace(name=name) for one, name in zip(whole.columns.subjects, names, strict=True)]
    gathered = GatheredMisses()
    everything = list(range(len(names)))
    missed = whole._replace(columns=replace(whole.columns, subjects=subjects))
    gathered.add(planned(everything, {0: everything}), missed, first_row=0)
    asked = gathered.submission(Recorder(), REQUEST).parcel(0)
    assert asked.names_may_differ is may_differ
    assert CallBatch(asked.split(1)).names_may_differ is may_differ
    assert asked.pick([0]).names_may_differ is may_differ
