"""The writer: rounds of bounded size, waits that end, and no answer left without a word."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from broker.errors import StoreError
from broker.store import disk, lmdb_file, memtables, writer
from broker.store import log as log_module
from broker.store.base import ProgressCallback, no_progress
from broker.store.lmdb_store import LmdbStore
from broker.store.log import Log
from broker.store.memtable import FrozenMemtable
from tests.store.test_lmdb_store import ALICE, BOB, MASTER, MIB, Clock, fill, numbered, opened, raw, run, statements
from tests.store.test_reading_never_fails import wait_until
from tests.store.test_store_workers import known, write_lock_taken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt to take the folder's lock."""
    monkeypatch.setattr(disk, "PATIENCE", 0.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "PATIENCE", 1e9)


_HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def stopped_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that was stopped while it held the folder's lock."""
    with run(_HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        try:
            yield holder
        finally:
            holder.kill()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.usefixtures("impatient")
def test_a_worker_stopped_with_the_lock_keeps_answers_waiting_and_is_named(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path, Clock()) as store:
        with stopped_holder(path) as holder:
            for number in range(3):
                store.put_many(statements(numbered([number])))
                assert not store.flush()
                assert known(store, range(number + 1)) == number + 1  # from memory
            statistics = store.statistics()
            assert (statistics.healthy, statistics.pending, statistics.dropped) == (False, 3, 0)
        (message,) = errors(caplog)
        assert f"its lock is held by process {holder.pid}" in message
        assert store.flush()
        statistics = store.statistics()
        assert (statistics.healthy, statistics.pending, statistics.records) == (True, 0, 3)


@pytest.mark.usefixtures("patient")
def test_closing_does_not_wait_for_a_lock_beyond_its_time(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = LmdbStore(path, master_keys=(MASTER,), map_size=MIB, clock=Clock())
    with stopped_holder(path):
        store.put_many(statements(numbered(range(7))))
        store.close(0.05)
    store._writer._thread.join()
    closings = [message for message in errors(caplog) if "closed with" in message]  # the thread may complain as well
    assert ["closed with 7 answers not committed" in message for message in closings] == [True]
    with opened(path, Clock()) as store:  # the file was let go of
        assert known(store, range(7)) == 0


def test_closing_ends_between_two_rounds_when_time_is_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memtables, "ROUND_LIMIT", 10)
    begun, go_on = threading.Event(), threading.Event()
    commit = Log.commit

    def slow_commit(self: Log, memtable: FrozenMemtable, now: int) -> None:
        begun.set()
        go_on.wait()
        commit(self, memtable, now)

    monkeypatch.setattr(Log, "commit", slow_commit)
    store = LmdbStore(path, master_keys=(MASTER,), map_size=MIB, clock=Clock())
    store.put_many(statements(numbered(range(100))))
    begun.wait()
    store.close(0.0)
    go_on.set()
    store._writer._thread.join()
    assert "closed with 100 answers not committed" in errors(caplog)[0]
    with opened(path, Clock()) as store:
        assert known(store, range(100)) == 10  # the round that had begun was finished


def test_no_round_is_larger_than_allowed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memtables, "ROUND_LIMIT", 100)
    sizes, commit = [], Log.commit

    def note(self: Log, memtable: FrozenMemtable, now: int) -> None:
        sizes.append(len(memtable.subjects))
        commit(self, memtable, now)

    monkeypatch.setattr(Log, "commit", note)
    with opened(path, Clock()) as store:
        with write_lock_taken(path):
            for start in range(0, 3_000, 250):
                store.put_many(statements(numbered(range(start, start + 250))))
        assert store.flush()
        assert known(store, range(3_000)) == 3_000
    assert max(sizes) <= 100
    assert sum(sizes) == 3_000


@pytest.mark.usefixtures("impatient")
def test_what_is_more_than_may_wait_is_dropped_and_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "_PENDING_LIMIT", 10)
    with opened(path, Clock()) as store:
        with write_lock_taken(path):
            for number in range(12):
                store.put_many(statements(numbered([number])))
        statistics = store.statistics()
        assert (statistics.dropped, statistics.healthy) == (2, False)
        assert len(errors(caplog)) == 1
        store.flush()
        assert store.flush()
        assert known(store, range(12)) == 10
        assert store.statistics().healthy


def test_a_flush_that_could_not_commit_says_so(path: Path) -> None:
    with opened(path, Clock(), map_size=2 * MIB) as store:
        fill(store, 100)
        store.put_many(statements([ALICE]))
        assert not store.flush()


@pytest.mark.usefixtures("patient")
def test_nobody_who_reads_waits_for_the_lock(path: Path) -> None:
    """Not even while the writer waits for it to set a damaged file aside."""
    with opened(path, Clock()) as store:
        store.put_many(statements([ALICE]))
        assert store.flush()
        with write_lock_taken(path):
            store._disk.report(lmdb.CorruptedError("a page is broken"))
            wait_until(lambda: store._disk._log is None)
            assert store.get_many([ALICE]) == [None]
            assert store.statistics().records == 0
        store.put_many(statements([BOB]))
        assert store.flush()
        assert None not in store.get_many([BOB])


def test_opening_does_not_wait_for_the_lock_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_file, "_OPEN_PATIENCE", 0.0)
    opened(path, Clock()).__enter__().close()
    with write_lock_taken(path), pytest.raises(StoreError, match=f"held by process {os.getpid()}"):
        LmdbStore(path, master_keys=(MASTER,), map_size=MIB, clock=Clock())
    with opened(path, Clock()) as store:
        assert store.statistics().healthy


def test_an_index_that_is_made_again_leaves_the_lock_to_others_in_between(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path, Clock()) as store:
        store.put_many(statements(numbered(range(3_000))))
    monkeypatch.setattr(log_module, "_CATCH_UP", 10)
    (path / "index").unlink()
    turns, catch_up = [], Log.catch_up

    def note(self: Log, progress: ProgressCallback = no_progress) -> bool:
        turns.append(catch_up(self, progress))
        return turns[-1]

    monkeypatch.setattr(Log, "catch_up", note)
    with opened(path, Clock()) as store:
        assert known(store, range(3_000)) == 3_000
        assert turns.count(False) > 5
        turns.clear()
        (path / "index").unlink()
        store.put_many(statements([ALICE]))
        wait_until(lambda: store.flush() and turns.count(False) > 5)
        assert known(store, range(3_000)) == 3_000
        assert None not in store.get_many([ALICE])


@pytest.mark.parametrize(("at_once", "turn"), [(10, 1_000_000), (10, 30), (1_000_000, 30)])
def test_a_store_reports_progress_while_its_index_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, turn: int
) -> None:
    """A supervisor that hears nothing for long takes the worker for one that hangs."""
    with opened(path, Clock()) as store:
        store.put_many(statements(numbered(range(3_000))))
    monkeypatch.setattr(log_module, "_AT_ONCE", at_once)
    monkeypatch.setattr(log_module, "_CATCH_UP", turn)
    (path / "index").unlink()
    with raw(path) as txn:
        blocks = txn.stat()["entries"]
    signs: list[None] = []
    store = LmdbStore(
        path, master_keys=(MASTER,), map_size=16 * MIB, clock=Clock(), progress=lambda: signs.append(None)
    )
    store.close()
    assert len(signs) >= blocks // min(at_once, turn) > 1


def test_two_workers_with_much_to_write_take_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both poll for the lock, and neither keeps it from the other for as long as the other has patience."""
    monkeypatch.setattr(memtables, "ROUND_LIMIT", 50)
    script = """
import sys
from pathlib import Path
from broker.store import memtables
from tests.store.test_lmdb_store import Clock, numbered, opened, statements
from tests.store.test_store_workers import known
memtables.ROUND_LIMIT = 50
with opened(Path(sys.argv[1]), Clock()) as store:
    for start in range(10_000, 14_000, 50):
        store.put_many(statements(numbered(range(start, start + 50))))
    assert store.flush() and store.statistics().dropped == 0
    print(known(store, range(10_000, 14_000)), flush=True)
"""
    with opened(path, Clock()) as store, run(script, path) as other:
        for start in range(0, 4_000, 50):
            store.put_many(statements(numbered(range(start, start + 50))))
        assert store.flush()
        told, _ = other.communicate()
        assert told == "4000\n"
        assert known(store, [*range(4_000), *range(10_000, 14_000)]) == 8_000
        assert store.statistics().healthy


def test_the_lock_of_a_dead_worker_is_free(path: Path) -> None:
    with opened(path, Clock()) as store:
        with stopped_holder(path):
            pass
        store.put_many(statements([ALICE]))
        assert store.flush()
