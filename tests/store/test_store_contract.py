"""The rules of broker/store/base.py, held against every store there is."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.wire import encoding, record
from broker.core.wire.record import Entry
from broker.model import Outcome, Source
from broker.store.base import Statements, Store
from broker.store.lmdb_store import LmdbStore
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb

NOW = 1_800_000_000
BANK, LAND, CARS = "bank", "land-registry", "cars"
ALICE, BOB, CAROL = (bytes([n]) * 16 for n in (1, 2, 3))


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def put(
    store: Store,
    institution: str,
    *keys: bytes,
    outcome: Outcome = Outcome.FOUND,
    observed: int = NOW,
    expires: int = NOW + 3600,
) -> None:
    """Puts the same statement about each key. What tells two statements apart is when they were observed."""
    content = encoding.content(outcome, observed_at=observed)
    store.put_many(
        Statements(
            institution=record.institution_key(institution),
            keys=keys,
            outcomes=bytes([outcome]) * len(keys),
            observed=[observed] * len(keys),
            expires=[expires] * len(keys),
            segments=encoding.make_segments(institution, [content], Source.INSTITUTION) * len(keys),
        )
    )


def entry(
    institution: str, *, outcome: Outcome = Outcome.FOUND, observed: int = NOW, expires: int = NOW + 3600
) -> Entry:
    """What a read gives for one such statement."""
    content = encoding.content(outcome, observed_at=observed)
    segment = encoding.make_segments(institution, [content], Source.CACHE)[0]
    return Entry(record.institution_key(institution), outcome, observed, expires, segment)


def get(store: Store, *keys: bytes, now: int = NOW) -> list[set[Entry] | None]:
    """Per key, the answers that may still be served; None if the store holds no record."""
    found = store.get_many(keys)
    return [None if each is None else {e for e in record.unpack(each) if e.expires > now} for each in found]


def open_memory(_: Path, clock: Callable[[], float]) -> Store:
    return MemoryStore(clock)


def open_lmdb(path: Path, clock: Callable[[], float]) -> Store:
    return LmdbStore(path / "cache", master_keys=(bytes(32),), map_size=16 << 20, clock=clock)


STORES = pytest.mark.parametrize("open_store", [open_memory, open_lmdb], ids=["memory", "lmdb"])
Open = Callable[[Path, Callable[[], float]], Store]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[open_memory, open_lmdb], ids=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened: Store = request.param(tmp_path, clock)
    yield opened
    opened.close()


@pytest.fixture(params=[open_memory, open_lmdb], ids=["memory", "lmdb"])
def open_any(request: pytest.FixtureRequest) -> Open:
    opener: Open = request.param
    return opener


@pytest.fixture(params=["at once", "flushed"])
def settle(request: pytest.FixtureRequest, store: Store) -> Callable[[], object]:
    """What is read must not depend on whether it is on disk yet."""
    return store.flush if request.param == "flushed" else lambda: None


def test_a_new_store_knows_nobody(store: Store) -> None:
    assert store.get_many([ALICE, BOB]) == [None, None]


def test_reading_nothing_gives_nothing(store: Store) -> None:
    put(store, BANK, ALICE)
    assert store.get_many([]) == []


def test_putting_nothing_changes_nothing(store: Store) -> None:
    put(store, BANK)
    store.flush()
    assert store.statistics().records == 0


def test_what_was_put_is_read(store: Store, settle: Callable[[], object]) -> None:
    put(store, BANK, ALICE)
    settle()
    assert get(store, ALICE) == [{entry(BANK)}]


def test_reads_are_aligned_with_their_keys(store: Store, settle: Callable[[], object]) -> None:
    put(store, BANK, CAROL, observed=NOW - 3)
    put(store, BANK, ALICE, observed=NOW - 1)
    settle()
    assert get(store, CAROL, BOB, ALICE, CAROL, BOB) == [
        {entry(BANK, observed=NOW - 3)},
        None,
        {entry(BANK, observed=NOW - 1)},
        {entry(BANK, observed=NOW - 3)},
        None,
    ]


def test_answers_of_several_institutions_become_one_record(store: Store, settle: Callable[[], object]) -> None:
    put(store, LAND, ALICE)
    settle()
    put(store, BANK, ALICE, BOB, outcome=Outcome.NOT_FOUND)
    put(store, CARS, ALICE)
    settle()
    none = entry(BANK, outcome=Outcome.NOT_FOUND)
    assert get(store, ALICE, BOB) == [{entry(LAND), none, entry(CARS)}, {none}]


def test_a_record_reads_as_a_report_from_the_cache_in_order_of_institutions(
    store: Store, settle: Callable[[], object]
) -> None:
    for institution in (LAND, CARS, BANK):
        put(store, institution, ALICE)
    settle()
    (held,) = store.get_many([ALICE])
    assert held is not None
    count = record.HEAD.unpack_from(held)[-1]
    report = pb.Report.FromString(held[record.body_at(count) :])
    assert [answer.institution_id for answer in report.answers] == [BANK, CARS, LAND]
    assert {answer.source for answer in report.answers} == {pb.SOURCE_CACHE}


@pytest.mark.parametrize(("first", "second"), [(NOW - 9, NOW), (NOW, NOW - 9), (NOW, NOW)], ids=["newer", "older", "="])
@pytest.mark.parametrize("between", ["at once", "flushed"])
def test_the_newer_answer_stays(store: Store, first: int, second: int, between: str) -> None:
    put(store, BANK, ALICE, observed=first, outcome=Outcome.FOUND)
    if between == "flushed":
        store.flush()
    put(store, BANK, ALICE, observed=second, outcome=Outcome.NOT_FOUND)
    newer = Outcome.FOUND if first > second else Outcome.NOT_FOUND  # of the same moment: what was said last
    expected = [{entry(BANK, observed=max(first, second), outcome=newer)}]
    assert get(store, ALICE) == expected
    store.flush()
    assert get(store, ALICE) == expected


@pytest.mark.parametrize("between", ["at once", "flushed"])
def test_an_answer_from_before_the_clock_was_set_back_is_replaced(store: Store, clock: Clock, between: str) -> None:
    put(store, BANK, ALICE, outcome=Outcome.FOUND)
    put(store, LAND, ALICE, BOB)
    if between == "flushed":
        store.flush()
    clock.now = NOW - 600
    put(store, BANK, ALICE, observed=NOW - 600, outcome=Outcome.NOT_FOUND)
    expected = [{entry(BANK, observed=NOW - 600, outcome=Outcome.NOT_FOUND), entry(LAND)}, {entry(LAND)}]
    assert get(store, ALICE, BOB) == expected
    store.flush()
    assert get(store, ALICE, BOB) == expected


def test_each_institutions_answer_expires_by_itself(store: Store, clock: Clock, settle: Callable[[], object]) -> None:
    put(store, BANK, ALICE, expires=NOW + 10)
    put(store, LAND, ALICE, expires=NOW + 100)
    settle()
    clock.now = NOW + 50
    assert get(store, ALICE, now=NOW + 50) == [{entry(LAND, expires=NOW + 100)}]


def test_an_expired_answer_makes_room_even_for_an_older_one(store: Store, clock: Clock) -> None:
    put(store, BANK, ALICE, observed=NOW, expires=NOW + 10)
    store.flush()
    clock.now = NOW + 20
    put(store, BANK, ALICE, observed=NOW - 5, expires=NOW + 100)
    assert get(store, ALICE, now=NOW + 20) == [{entry(BANK, observed=NOW - 5, expires=NOW + 100)}]


def test_an_expired_answer_can_be_renewed(store: Store, clock: Clock, settle: Callable[[], object]) -> None:
    put(store, BANK, ALICE, expires=NOW + 10)
    settle()
    clock.now = NOW + 20
    put(store, BANK, ALICE, observed=NOW + 20, expires=NOW + 30)
    settle()
    assert get(store, ALICE, now=NOW + 20) == [{entry(BANK, observed=NOW + 20, expires=NOW + 30)}]


def test_an_expired_answer_does_not_take_the_others_with_it(
    store: Store, clock: Clock, settle: Callable[[], object]
) -> None:
    put(store, BANK, ALICE, expires=NOW + 10)
    put(store, LAND, ALICE, expires=NOW + 100)
    settle()
    clock.now = NOW + 50
    put(store, CARS, ALICE, observed=NOW + 50, expires=NOW + 60)
    settle()
    expected = {entry(LAND, expires=NOW + 100), entry(CARS, observed=NOW + 50, expires=NOW + 60)}
    assert get(store, ALICE, now=NOW + 50) == [expected]


def test_expired_answers_leave_the_store_in_time(store: Store, clock: Clock) -> None:
    """In the course of other puts: nobody has to ask for them."""
    gone, others = [bytes([10, n]) * 8 for n in range(40)], [bytes([20, n]) * 8 for n in range(40)]
    put(store, BANK, *gone, ALICE, expires=NOW + 10)
    put(store, LAND, ALICE, expires=NOW + 1_000)
    store.flush()
    clock.now = NOW + 100
    for half in (others[:20], others[20:]):
        put(store, BANK, *half, observed=NOW + 100, expires=NOW + 1_000)
        store.flush()
    assert store.statistics().records == 1 + len(others)
    assert store.get_many(gone) == [None] * len(gone)
    assert get(store, ALICE, now=NOW + 100) == [{entry(LAND, expires=NOW + 1_000)}]


def test_a_flush_says_that_all_is_committed(store: Store) -> None:
    assert store.flush()
    put(store, BANK, ALICE, BOB)
    assert store.flush()
    assert store.statistics().pending == 0


def test_a_store_may_be_given_any_time_to_close(open_any: Open, tmp_path: Path, clock: Clock) -> None:
    store = open_any(tmp_path, clock)
    put(store, BANK, ALICE)
    store.close(0.0)


def test_statistics_tell_what_happened(store: Store) -> None:
    put(store, BANK, ALICE, BOB)
    put(store, LAND, ALICE)
    store.flush()
    store.get_many([ALICE, BOB, CAROL, ALICE])
    statistics = store.statistics()
    assert (statistics.records, statistics.pending) == (2, 0)
    assert (statistics.hits, statistics.misses) == (3, 1)
    assert (statistics.dropped, statistics.damaged, statistics.healthy) == (0, 0, True)
    assert 0 < statistics.bytes_used <= statistics.bytes_limit


def test_many_subjects_at_once(store: Store, settle: Callable[[], object]) -> None:
    keys = [n.to_bytes(16, "little") for n in range(5_000)]  # little-endian: not in the order of the file
    put(store, BANK, *keys)
    put(store, LAND, *keys[::2])
    settle()
    found = get(store, *keys)
    assert found == [{entry(BANK), entry(LAND)} if n % 2 == 0 else {entry(BANK)} for n in range(5_000)]


_KEYS = st.sampled_from([bytes([n]) * 16 for n in range(5)])
_PUT = st.tuples(
    st.sampled_from([BANK, LAND, CARS]),
    st.lists(_KEYS, min_size=1, max_size=4, unique=True),
    st.integers(0, 20),  # s ago
    st.integers(-2, 25),  # s until it expires
)
_ACTIONS = st.lists(st.one_of(_PUT, st.just("flush"), st.just("get"), st.just("tick")), min_size=1, max_size=25)


@STORES
@settings(max_examples=60, deadline=None)
@given(actions=_ACTIONS)
def test_any_sequence_of_puts_gets_and_flushes_reads_like_a_dictionary(
    open_store: Open, actions: Sequence[Literal["flush", "get", "tick"] | tuple[str, list[bytes], int, int]]
) -> None:
    clock = Clock()
    model: dict[tuple[bytes, str], list[Entry]] = {}
    with tempfile.TemporaryDirectory() as path:
        store = open_store(Path(path), clock)
        try:
            for action in (*actions, "get", "flush", "get"):
                now = int(clock.now)
                if action == "flush":
                    store.flush()
                elif action == "tick":
                    clock.now += 7
                elif action == "get":
                    _check_against(model, store, now)
                elif not isinstance(action, str):
                    institution, keys, age, lifetime = action
                    observed, expires = now - age, now + lifetime
                    put(store, institution, *keys, observed=observed, expires=expires)
                    for key in keys:
                        said = entry(institution, observed=observed, expires=expires)
                        model.setdefault((key, institution), []).append(said)
        finally:
            store.close()


def _check_against(model: dict[tuple[bytes, str], list[Entry]], store: Store, now: int) -> None:
    """The newest answer, if it still holds. If not, any other that was put and still holds, or none, will do."""
    keys = [bytes([n]) * 16 for n in range(6)]
    for key, answers in zip(keys, get(store, *keys, now=now), strict=True):
        by_institution = {answer.institution: answer for answer in answers or ()}
        assert len(by_institution) == len(answers or ())
        for institution in (BANK, LAND, CARS):
            said = model.get((key, institution), [])
            got = by_institution.pop(record.institution_key(institution), None)
            newest = max(enumerate(said), key=lambda one: (one[1].observed, one[0]), default=(0, None))[1]
            if newest is not None and newest.expires > now:
                assert got == newest
            else:
                assert got is None or got in said
        assert not by_institution


def test_closing_commits_what_is_pending(tmp_path: Path, clock: Clock) -> None:
    rounds = itertools.count()
    for _ in range(3):
        store = open_lmdb(tmp_path, clock)
        put(store, BANK, next(rounds).to_bytes(16, "big"))
        store.close()
    reopened = open_lmdb(tmp_path, clock)
    assert get(reopened, *[n.to_bytes(16, "big") for n in range(3)]) == [{entry(BANK)}] * 3
    reopened.close()
