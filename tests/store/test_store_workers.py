"""The LMDB store shared by several workers, and through a long life: what dies between two steps, what expires."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import lmdb
import pytest

from broker.core.wire import record
from broker.store.index import Index
from broker.store.lmdb_store import LmdbStore
from tests.store.test_lmdb_store import MIB, NOW, Clock, is_about, log_of, numbered, opened, run, set_aside, statements

_WORKER = """
import sys
from pathlib import Path
import lmdb
from broker.store.lmdb_store import LmdbStore
from tests.store.test_lmdb_store import Clock, MASTER, MIB, is_about, numbered, statements, log_of

store = LmdbStore(Path(sys.argv[1]), master_keys=(MASTER,), map_size=64 * MIB, clock=Clock())
for line in sys.stdin:
    command, institution, start, stop = line.split()
    keys = numbered(range(int(start), int(stop)))
    if command == "put":
        store.put_many(statements(keys, institution=institution))
    elif command == "flush":
        store.flush()
    elif command == "damage":
        store._disk.report(lmdb.CorruptedError("a page is broken"))
    held = store.get_many(keys) if keys else []
    assert all(is_about(key, each) for key, each in zip(keys, held) if each is not None)
    print(len(held) - held.count(None), flush=True)
store.close()
"""
"""A worker that does as it is told, and says each time how many of the subjects named it knows."""


class Worker:
    """Another process with the same store open."""

    def __init__(self, path: Path) -> None:
        self.process = run(_WORKER, path)

    def do(self, command: str, start: int = 0, stop: int = 0, *, institution: str = "bank") -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {institution} {start} {stop}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
        assert self.process.returncode in (0, -9)


@contextmanager
def shared(path: Path) -> Iterator[tuple[LmdbStore, Worker]]:
    """A store that this process and another one have open."""
    with opened(path, Clock(), map_size=64 * MIB) as store, Worker(path) as worker:
        yield store, worker


@contextmanager
def write_lock_taken(path: Path) -> Iterator[None]:
    """Nobody can write, or set the file aside."""
    folder = os.open(path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    yield
    os.close(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def known(store: LmdbStore, numbers: Sequence[int]) -> int:
    """How many of these subjects the store knows. What it says of them must be about them."""
    keys = numbered(numbers)
    held = store.get_many(keys)
    assert all(is_about(key, each) for key, each in zip(keys, held, strict=True) if each is not None)
    return len(held) - held.count(None)


def put(store: LmdbStore, numbers: Sequence[int], *, institution: str = "bank", expires: int = NOW + 3600) -> None:
    store.put_many(statements(numbered(numbers), institution=institution, expires=expires))


# --- several workers --------------------------------------------------------------------------------------------------


def test_what_one_worker_commits_all_can_read(path: Path) -> None:
    """Through several growths of the index, which either may be the one to begin."""
    with shared(path) as (store, worker):
        for start in range(0, 20_000, 4_000):
            put(store, range(start, start + 2_000))
            worker.do("put", start + 2_000, start + 4_000)
            store.flush()
            worker.do("flush")
            assert known(store, range(start + 6_000)) == start + 4_000
            assert worker.do("get", 0, start + 6_000) == start + 4_000
        assert store.statistics().records == 20_000
    with opened(path, Clock(), map_size=64 * MIB) as store:
        assert known(store, range(20_001)) == 20_000


def test_answers_that_reach_different_workers_become_one_record(path: Path) -> None:
    with shared(path) as (store, worker):
        for round_ in range(3):
            put(store, range(500))
            worker.do("put", 0, 500, institution="land")
            store.flush()
            worker.do("flush", 0, 500)
            entries = [record.unpack(held) for held in store.get_many(numbered(range(500))) if held]
            assert [len(each) for each in entries] == [2] * 500, round_
        assert store.statistics().records == 500


def test_a_worker_killed_at_any_moment_leaves_the_others_going(path: Path) -> None:
    with opened(path, Clock(), map_size=64 * MIB) as store:
        for start in range(0, 9_000, 3_000):
            with Worker(path) as worker:
                worker.do("put", start, start + 1_000)
                worker.do("flush")
                worker.do("put", start + 1_000, start + 2_000)
                worker.process.kill()
            put(store, range(start + 2_000, start + 3_000))
            store.flush()
            assert known(store, range(start, start + 1_000)) == 1_000
            assert known(store, range(start + 2_000, start + 3_000)) == 1_000
        assert store.statistics().healthy
    assert not set_aside(path)


def test_all_workers_go_on_in_the_new_file_when_one_has_set_a_damaged_one_aside(path: Path) -> None:
    with shared(path) as (store, worker):
        put(store, range(10))
        store.flush()
        worker.do("damage")
        worker.do("put", 10, 20)
        worker.do("flush")
        assert worker.do("get", 0, 20) == 10
        put(store, range(20, 30))
        store.flush()
        assert known(store, range(30)) == 20
        assert worker.do("get", 0, 30) == 20
        assert store.statistics().healthy
    assert len(set_aside(path)) == 1


def test_two_workers_that_find_the_same_damage_set_one_file_aside(path: Path) -> None:
    with shared(path) as (store, worker):
        put(store, range(10))
        store.flush()
        assert worker.do("get", 0, 10) == 10
        with write_lock_taken(path):
            store._disk.report(lmdb.CorruptedError("a page is broken"))
            worker.do("damage")
        put(store, range(10, 20))
        worker.do("put", 20, 30)
        store.flush()
        worker.do("flush")
        assert known(store, range(30)) == worker.do("get", 0, 30) == 20
    assert len(set_aside(path)) == 1


def test_workers_that_start_together_over_an_unusable_file_agree_on_a_new_one(path: Path) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(os.urandom(100_000))
    with Worker(path) as one, Worker(path) as two, Worker(path) as three:
        for number, worker in enumerate((one, two, three)):
            worker.do("put", 10 * number, 10 * number + 10)
            worker.do("flush")
        assert [worker.do("get", 0, 40) for worker in (one, two, three)] == [30] * 3
    assert len(set_aside(path)) == 1


# --- what was left half done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["point", "cover"])
def test_what_was_committed_but_not_indexed_is_caught_up_with(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(path, Clock()) as store:
        with monkeypatch.context() as patched:
            patched.setattr(Index, step, die)
            put(store, range(5_000))
            store.flush()
        put(store, range(5_000, 5_001))
        store.flush()
        assert known(store, range(5_001)) == 5_001
        assert (store.statistics().records, store.statistics().healthy) == (5_001, True)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "empty"])
def test_a_lost_index_is_made_again_from_the_log(path: Path, spoil: object) -> None:
    with opened(path, Clock()) as store:
        put(store, range(6_000))
        put(store, range(3_000), institution="land")
        store.flush()
        put(store, range(1_000), institution="cars")
    assert callable(spoil)
    spoil(path / "index")
    with opened(path, Clock()) as store:
        held = [record.unpack(each) for each in store.get_many(numbered(range(6_000))) if each]
        assert [len(entries) for entries in held] == [3] * 1_000 + [2] * 2_000 + [1] * 3_000
        assert store.statistics().records == 6_000


def test_a_record_that_moves_while_it_is_looked_for_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is read, then the record is replaced and the old one removed by compaction, then the log is read."""
    with opened(path, Clock()) as store:
        put(store, range(10))
        store.flush()
        reading = log_of(store)._reading

        def move_first() -> lmdb.Transaction:
            monkeypatch.undo()
            for _ in range(3):  # to be replaced, to be removed, and once more
                put(store, range(10), institution="land")
                store.flush()
            return reading()

        monkeypatch.setattr(log_of(store), "_reading", move_first)
        assert known(store, range(10)) == 10
        assert store.statistics().damaged == 0


# --- a long life ------------------------------------------------------------------------------------------------------


def test_disk_use_is_bounded_by_what_is_put_in_a_lifetime(path: Path) -> None:
    clock, sizes = Clock(), []
    with opened(path, clock, map_size=64 * MIB) as store:
        for number in range(60):
            put(store, range(500 * number, 500 * number + 500), expires=int(clock.now) + 5)
            store.flush()
            clock.now += 1
            sizes.append(store.statistics().bytes_used)
        assert store.statistics().records <= 500 * 7
        assert known(store, range(500 * 55, 500 * 60)) >= 500 * 4
    assert max(sizes) <= 1.3 * max(sizes[:15])


def test_long_lived_answers_do_not_keep_what_expires_around_them(path: Path) -> None:
    clock = Clock()
    with opened(path, clock, map_size=64 * MIB) as store:
        for number in range(40):
            put(store, [-1 - number], expires=NOW + 10_000)
            put(store, range(200 * number, 200 * number + 200), expires=int(clock.now) + 3)
            store.flush()
            clock.now += 1
        assert known(store, range(-40, 0)) == 40
        assert store.statistics().records <= 40 + 200 * 5
        assert store.statistics().bytes_used < MIB


def test_what_is_replaced_again_and_again_takes_no_more_room(path: Path) -> None:
    sizes = []
    with opened(path, Clock(), map_size=64 * MIB) as store:
        for number in range(40):
            store.put_many(statements(numbered(range(1_000)), observed=NOW + number))
            store.flush()
            sizes.append(store.statistics().bytes_used)
        assert store.statistics().records == 1_000
        assert known(store, range(1_000)) == 1_000
    assert sizes[-1] <= 1.2 * sizes[10]


def test_the_subjects_of_a_lookup_may_come_twice(path: Path) -> None:
    with opened(path, Clock()) as store:
        put(store, range(50))
        store.flush()
        assert known(store, [*range(50), *range(50), 7, 99]) == 101


def test_a_flush_ends_though_others_go_on_putting(path: Path) -> None:
    script = """
import sys, threading
from pathlib import Path
from tests.store.test_lmdb_store import Clock, numbered, opened, statements

with opened(Path(sys.argv[1]), Clock()) as store:
    stop = threading.Event()
    def put_all_the_time():
        number = 0
        while not stop.is_set():
            store.put_many(statements(numbered([number])))
            number += 1
    putting = threading.Thread(target=put_all_the_time)
    putting.start()
    for _ in range(3):
        store.flush()
    stop.set()
    putting.join()
"""
    with run(script, path) as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
