"""The memtables of a store: rounds of bounded size, the oldest first, and nothing lost between them."""

from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.wire import record
from broker.store import memtables as module
from broker.store.memtable import FrozenMemtable, Memtable, lay_over
from broker.store.memtables import Memtables
from tests.store.test_lmdb_store import NOW, numbered, statements


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND_LIMIT", 100)


def put(memtables: Memtables, numbers: Sequence[int], institution: str = "bank") -> None:
    memtables.put(statements(numbered(numbers), institution=institution), NOW)


def commit(memtables: Memtables, *, hurry: bool = False) -> FrozenMemtable | None:
    """One round, as the writer does it."""
    waiting = memtables.begin(hurry=hurry)
    if memtables.committing is not None:
        memtables.absorb(*memtables.committing.absorb(waiting, NOW))
    committed = memtables.committing
    memtables.settle()
    return committed


def keys(memtable: FrozenMemtable | None) -> list[bytes]:
    return list(memtable.subjects) if memtable else []


def test_what_is_put_waits_for_one_round() -> None:
    memtables = Memtables()
    put(memtables, range(10))
    assert commit(memtables) is None
    put(memtables, range(10, 20))
    assert keys(commit(memtables)) == numbered(range(10))
    assert keys(commit(memtables)) == numbered(range(10, 20))
    assert memtables.answers == memtables.subjects == 0


def test_who_is_in_a_hurry_does_not_wait() -> None:
    memtables = Memtables()
    put(memtables, range(10))
    assert keys(commit(memtables, hurry=True)) == numbered(range(10))


@pytest.mark.parametrize("at_once", [1, 7, 99, 100, 101, 1_000])
def test_a_round_is_bounded_however_much_was_put(at_once: int) -> None:
    memtables = Memtables()
    for start in range(0, 1_000, at_once):
        put(memtables, range(start, min(1_000, start + at_once)))
    memtables.rotate()
    rounds = []
    while memtables.answers:
        rounds.append(keys(commit(memtables)))
    assert max(map(len, rounds)) <= 100
    assert list(chain.from_iterable(rounds)) == numbered(range(1_000))
    assert memtables.settled == memtables.rotated


def test_answers_of_other_institutions_that_wait_come_along() -> None:
    memtables = Memtables()
    put(memtables, range(100))
    put(memtables, range(50, 150), "land")
    put(memtables, range(90, 190), "cars")
    memtables.rotate()
    committed = commit(memtables, hurry=True)
    assert committed is not None
    assert keys(committed) == numbered(range(100))
    assert committed.size == 100 + 50 + 10
    committed = commit(memtables, hurry=True)
    assert committed is not None
    assert keys(committed) == numbered(range(100, 150))
    assert committed.size == 50 + 50
    assert keys(commit(memtables, hurry=True)) == numbered(range(150, 190))


def test_a_memtable_that_was_absorbed_as_a_whole_is_settled_with_those_before_it() -> None:
    memtables = Memtables()
    for institution in ("bank", "land"):
        put(memtables, range(10), institution)
        memtables.rotate()
    put(memtables, range(50, 60))
    memtables.rotate()
    put(memtables, range(10))
    memtables.rotate()
    assert memtables.rotated == 4
    commit(memtables)
    assert memtables.settled == 2  # the last one is empty, too, but not yet its turn
    commit(memtables)
    assert memtables.settled == 4
    assert (memtables.answers, memtables.backlog) == (0, 0)


def test_what_could_not_be_committed_comes_first_again() -> None:
    memtables = Memtables()
    put(memtables, range(10))
    memtables.rotate()
    put(memtables, range(10, 20))
    memtables.begin(hurry=False)
    memtables.put_back()
    assert memtables.answers == 20
    assert keys(commit(memtables)) == numbered(range(10))
    assert keys(commit(memtables)) == numbered(range(10, 20))


def test_what_is_rotated_while_answers_are_absorbed_goes_on_waiting() -> None:
    memtables = Memtables()
    for start in (0, 100, 200):
        put(memtables, range(start, start + 100))
    waiting = memtables.begin(hurry=True)
    assert memtables.committing is not None
    absorbed = memtables.committing.absorb(waiting, NOW)
    put(memtables, range(300, 400))
    put(memtables, range(400, 500))
    memtables.absorb(*absorbed)
    memtables.settle()
    rounds = [keys(commit(memtables, hurry=True)) for _ in range(4)]
    assert list(chain.from_iterable(rounds)) == numbered(range(100, 500))


def test_a_frozen_memtable_stays_as_it_is() -> None:
    older, newer = Memtable(), Memtable()
    older.put(statements(numbered(range(10)), observed=NOW - 5), NOW)
    newer.put(statements(numbered(range(5, 15)), observed=NOW), NOW)
    newer.put(statements(numbered(range(5, 15)), institution="land"), NOW)
    before = [contents(older.view), contents(newer.view)]
    merged, (rest,) = older.view.absorb([newer.view], NOW)
    assert [contents(older.view), contents(newer.view)] == before
    assert contents(rest) == {key: held for key, held in before[1].items() if key in set(numbered(range(10, 15)))}
    assert {key: len(held) for key, held in contents(merged).items()} == dict(
        zip(numbered(range(10)), [1] * 5 + [2] * 5, strict=True)
    )
    bank = record.institution_key("bank")
    assert (bank, NOW) in contents(merged)[numbered([7])[0]]


def contents(memtable: FrozenMemtable) -> dict[bytes, set[tuple[bytes, int]]]:
    """What is in a memtable: per subject, who said something, and when."""
    held: list[bytes | None] = [None] * len(memtable.subjects)
    lay_over([memtable], held, list(memtable.subjects), NOW)
    return {
        key: {(entry.institution, entry.observed) for entry in record.unpack(each)}
        for key, each in zip(memtable.subjects, held, strict=True)
        if each
    }


_PUT = st.tuples(st.sampled_from(["bank", "land", "cars"]), st.integers(0, 300), st.integers(1, 250))


@given(st.lists(st.one_of(_PUT, st.sampled_from(["round", "hurry", "fail"])), max_size=30))
def test_no_answer_is_lost_and_no_round_too_large_whatever_the_order(
    actions: Sequence[str | tuple[str, int, int]],
) -> None:
    memtables = Memtables()
    put_: set[tuple[bytes, bytes]] = set()
    committed: set[tuple[bytes, bytes]] = set()

    def take(memtable: FrozenMemtable | None) -> None:
        if memtable:
            assert len(memtable.subjects) <= 100
            committed.update((key, institution) for key, said in contents(memtable).items() for institution, _ in said)

    for action in actions:
        if isinstance(action, tuple):
            institution, start, count = action
            put(memtables, range(start, start + count), institution)
            put_.update((key, record.institution_key(institution)) for key in numbered(range(start, start + count)))
        elif action == "fail":
            memtables.begin(hurry=True)
            memtables.put_back()
        else:
            take(commit(memtables, hurry=action == "hurry"))
        seen = {
            (key, institution)
            for memtable in memtables.all()
            for key, said in contents(memtable).items()
            for institution, _ in said
        }
        assert committed | seen == put_
    while memtables.answers:
        take(commit(memtables, hurry=True))
    assert committed == put_
    assert memtables.settled == memtables.rotated
