"""The LMDB store where it differs from a dictionary: restarts, crashes, full and foreign files, and what is on disk."""

import logging
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lmdb
import pytest

from broker.core.subjects.key import Keyer
from broker.core.wire import encoding, record
from broker.errors import StoreError
from broker.model import Outcome, Problem, Source
from broker.store import block
from broker.store.base import Statements
from broker.store.cipher import Cipher
from broker.store.index_table import tags_of
from broker.store.lmdb_file import StoreFile
from broker.store.lmdb_store import LmdbStore
from broker.store.log import Log

NOW = 1_800_000_000
MASTER = bytes(range(32))
ALICE, BOB = b"a" * 16, b"b" * 16
MIB = 1 << 20


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@contextmanager
def opened(
    path: Path, clock: Clock, *, master_keys: Sequence[bytes] = (MASTER,), map_size: int = 16 * MIB
) -> Iterator[LmdbStore]:
    store = LmdbStore(path, master_keys=master_keys, map_size=map_size, clock=clock)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def raw(path: Path, *, database: bytes = b"records") -> Iterator[lmdb.Transaction]:
    """The file as LMDB sees it, while no store has it open."""
    with lmdb.open(str(path), max_dbs=2, map_size=16 * MIB, lib_version=0) as env:
        handle = env.open_db(database)
        with env.begin(write=True, db=handle) as txn:
            yield txn


def statements(
    keys: Iterable[bytes], *, institution: str = "bank", observed: int = NOW, expires: int = NOW + 3600
) -> Statements:
    """One statement about each key, which carries the key: so it can be told whether an answer is the right one."""
    keys = list(keys)
    contents = [
        encoding.content(Outcome.NOT_FOUND, observed_at=observed, problem=Problem(key.hex(), "", "")) for key in keys
    ]
    return Statements(
        institution=record.institution_key(institution),
        keys=keys,
        outcomes=bytes([Outcome.NOT_FOUND]) * len(keys),
        observed=[observed] * len(keys),
        expires=[expires] * len(keys),
        segments=encoding.make_segments(institution, contents, Source.INSTITUTION),
    )


def is_about(key: bytes, held: bytes) -> bool:
    """Whether a record holds nothing but statements that carry this key."""
    entries = record.unpack(held)
    return bool(entries) and all(key.hex().encode() in each.segment for each in entries)


def numbered(numbers: Iterable[int]) -> list[bytes]:
    """Keys spread over the file as real ones are."""
    return [blake2b(str(number).encode(), digest_size=16).digest() for number in numbers]


def log_of(store: LmdbStore) -> Log:
    assert store._disk._log is not None
    return store._disk._log


def file_of(store: LmdbStore) -> StoreFile:
    assert store._disk._file is not None
    return store._disk._file


def set_aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*-*"))


# --- restarts and crashes ---------------------------------------------------------------------------------------------


def test_it_survives_being_reopened(path: Path, clock: Clock) -> None:
    keys = numbered(range(1_000))
    with opened(path, clock) as store:
        store.put_many(statements(keys))
    with opened(path, clock) as store:
        held = store.get_many(keys)
        assert all(each is not None and is_about(key, each) for key, each in zip(keys, held, strict=True))
        assert store.statistics().records == 1_000
    assert not set_aside(path)


_WRITER = """
import sys, time
from itertools import count
from pathlib import Path

from tests.store.test_lmdb_store import MASTER, MIB, numbered, statements
from broker.store.lmdb_store import LmdbStore

store = LmdbStore(Path(sys.argv[1]), master_keys=(MASTER,), map_size=64 * MIB, clock=time.time)
expires = int(time.time()) + 3600
for number in count(int(sys.argv[2])):
    store.put_many(statements(numbered(range(100 * number, 100 * number + 100)), expires=expires))
    print("put", number, flush=True)
    if number % 3 == 0:
        store.flush()
        print("kept", number, flush=True)
"""
"""Writes a hundred records at a time, for ever, and tells what it has put and what it knows to be committed."""


def run(script: str, *arguments: object) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def write_until_killed(path: Path, first: int, lines: int) -> tuple[int, int]:
    """Kills a writer once it has printed so many lines. Returns the last number put, and the last known to be kept."""
    told = {"put": first, "kept": -1}
    with run(_WRITER, path, first) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout, start=1):
            what, number = line.split()
            told[what] = int(number)
            if count == lines:
                writer.kill()  # and read on: what was printed in the meantime counts as well
    return told["put"], told["kept"]


def test_it_survives_kill_9_at_any_moment(path: Path) -> None:
    moments = random.Random(1)  # noqa: S311 - repeatable, not secret
    first = 0
    for _ in range(4):
        put, kept = write_until_killed(path, first, moments.randrange(20, 120))
        clock = Clock()
        clock.now = time.time()
        with opened(path, clock, map_size=64 * MIB) as store:
            keys = numbered(range(100 * (put + 2)))
            held = store.get_many(keys)
            assert all(is_about(key, each) for key, each in zip(keys, held, strict=True) if each is not None)
            assert kept >= first
            assert None not in held[100 * first : 100 * (kept + 1)]
            assert (store.statistics().damaged, store.statistics().records) == (0, len(held) - held.count(None))
        first = put + 1
    assert not set_aside(path)


_READER = """
import sys, lmdb
env = lmdb.open(sys.argv[1], max_dbs=2, map_size=16 << 20, lib_version=0)
txn = env.begin(write=sys.argv[2] == "write")
print("begun", flush=True)
sys.stdin.readline()
txn.abort()
"""
"""Holds a transaction until told to let go."""


def test_readers_that_died_are_cleared_when_it_opens(path: Path, clock: Clock) -> None:
    opened(path, clock).__enter__().close()
    with run(_READER, path, "read") as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "begun\n"
        reader.kill()
    with opened(path, clock) as store:
        assert str(reader.pid) not in file_of(store).env.readers()


# --- memory over disk -------------------------------------------------------------------------------------------------


@contextmanager
def writer_held_up(path: Path) -> Iterator[None]:
    """Another process holds LMDB's one write lock, so that no commit can go on."""
    with run(_READER, path, "write") as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "begun\n"
        try:
            yield
        finally:
            holder.stdin.write("go\n")
            holder.stdin.close()


def entries_of(store: LmdbStore, key: bytes) -> set[tuple[bytes, int]]:
    (held,) = store.get_many([key])
    return {(each.institution, each.observed) for each in record.unpack(held)} if held else set()


def wait_until_taken(store: LmdbStore) -> None:
    """Waits until the writer has made what was put its own. Bounded by the test's own patience."""
    patience = time.monotonic() + 60
    while store._writer._memtables.committing is None:
        assert time.monotonic() < patience
        os.sched_yield()


def test_what_is_being_committed_can_be_read_beside_what_came_since(path: Path, clock: Clock) -> None:
    bank, land = record.institution_key("bank"), record.institution_key("land")
    with opened(path, clock) as store:
        store.put_many(statements([ALICE], observed=NOW - 30))
        store.flush()
        with writer_held_up(path):
            store.put_many(statements([ALICE], observed=NOW - 20))
            flushing = threading.Thread(target=store.flush)
            flushing.start()
            wait_until_taken(store)  # being committed from here on
            assert entries_of(store, ALICE) == {(bank, NOW - 20)}
            store.put_many(statements([ALICE], institution="land", observed=NOW - 5))
            store.put_many(statements([ALICE], observed=NOW - 10))
            store.put_many(statements([ALICE], observed=NOW - 25))  # late, and older than all but the first
            assert entries_of(store, ALICE) == {(bank, NOW - 10), (land, NOW - 5)}
        flushing.join()
        store.flush()
        assert store.statistics().pending == 0
        assert entries_of(store, ALICE) == {(bank, NOW - 10), (land, NOW - 5)}
    with opened(path, clock) as store:
        assert entries_of(store, ALICE) == {(bank, NOW - 10), (land, NOW - 5)}


def test_a_put_between_two_commits_is_never_out_of_sight(path: Path, clock: Clock) -> None:
    """The writer commits as fast as it can while every answer put so far is read again and again."""
    with opened(path, clock) as store:
        stop = threading.Event()

        def flush_all_the_time() -> None:
            while not stop.is_set():
                store.flush()

        flushing = threading.Thread(target=flush_all_the_time)
        flushing.start()
        try:
            keys = numbered(range(300))
            for count, key in enumerate(keys, start=1):
                store.put_many(statements([key]))
                held = store.get_many(keys[max(0, count - 20) : count])
                assert None not in held
        finally:
            stop.set()
            flushing.join()
        assert all(is_about(key, each) for key, each in zip(keys, store.get_many(keys), strict=True) if each)


# --- full -------------------------------------------------------------------------------------------------------------


def fill(store: LmdbStore, size: int) -> list[bytes]:
    """Puts `size` records at a time until they are dropped. Returns the keys of those that were kept."""
    kept: list[bytes] = []
    while True:
        keys = numbered(range(len(kept), len(kept) + size))
        store.put_many(statements(keys, expires=NOW + 100))
        store.flush()
        if not store.statistics().healthy:
            return kept
        kept += keys


def test_a_full_store_drops_answers_says_so_once_and_is_still_read(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path, clock, map_size=2 * MIB) as store:
        kept = fill(store, 100)
        for number in range(5):
            store.put_many(statements(numbered([-1 - number])))
            store.flush()
        statistics = store.statistics()
        assert (statistics.dropped, statistics.healthy, statistics.damaged) == (105, False, 0)
        assert statistics.bytes_used <= statistics.bytes_limit
        held = store.get_many(kept)
        assert all(each is not None and is_about(key, each) for key, each in zip(kept, held, strict=True))
        assert store.get_many(numbered([-1])) == [None]
    (message,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert "full" in message
    assert "store.map_size" in message
    assert str(path) in message


@pytest.mark.parametrize("size", [20, 500], ids=["small commits", "large commits"])
def test_a_full_store_recovers_under_steady_load_once_answers_expire(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """Nothing here waits for a quiet moment: a broker in use never has one."""
    caplog.set_level(logging.INFO)
    with opened(path, clock, map_size=2 * MIB) as store:
        kept = fill(store, size)
        clock.now += 200
        for number in range(4):
            keys = numbered(range(-size * (number + 1), -size * number))
            store.put_many(statements(keys, observed=NOW + 200, expires=NOW + 9_999))
            store.flush()
        assert store.statistics().healthy
        assert store.get_many(kept) == [None] * len(kept)
        assert None not in store.get_many(keys)
    assert "kept again" in caplog.text


def test_expired_records_are_compacted_though_nobody_asks_for_them(path: Path, clock: Clock) -> None:
    with opened(path, clock) as store:
        store.put_many(statements(numbered(range(12_000)), expires=NOW + 10))
        store.put_many(statements(numbered(range(3)), institution="land", expires=NOW + 1_000))
        store.flush()
        clock.now += 100
        for number in range(6):  # compaction looks at a part of the file before each commit
            store.put_many(statements(numbered([-1 - number])))
            store.flush()
        assert store.statistics().records == 3 + 6
        assert None not in store.get_many(numbered(range(3)))


# --- files that are not ours, or not whole ----------------------------------------------------------------------------


def write_garbage(path: Path) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(random.Random(1).randbytes(100_000))  # noqa: S311 - repeatable, not secret


def write_zeros(path: Path) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(bytes(100_000))


def write_foreign(path: Path) -> None:
    path.mkdir()
    with lmdb.open(str(path), map_size=MIB, lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"somebody", b"else's")


def write_foreign_meta(path: Path) -> None:
    """Somebody else's file, which happens to have a value where our database is."""
    path.mkdir()
    with lmdb.open(str(path), map_size=MIB, lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"meta", b"else's")


def write_other_engine(path: Path) -> None:
    path.mkdir()
    with lmdb.open(str(path), map_size=MIB, lib_version=1) as env, env.begin(write=True) as txn:
        txn.put(b"somebody", b"else's")


def write_ours(path: Path) -> None:
    with opened(path, Clock()) as store:
        store.put_many(statements(numbered(range(2_000))))
        store.flush()
        store.put_many(statements(numbered(range(1_000, 4_000)), institution="land"))


def write_other_format(path: Path) -> None:
    write_ours(path)
    with raw(path, database=b"meta") as txn:
        txn.put(b"format", b"0")


def write_without_check(path: Path) -> None:
    write_ours(path)
    with raw(path, database=b"meta") as txn:
        txn.delete(b"check")


def write_under_another_key(path: Path) -> None:
    with opened(path, Clock(), master_keys=(bytes(32),)) as store:
        store.put_many(statements([ALICE]))


@pytest.mark.parametrize(
    "write",
    [
        write_garbage,
        write_zeros,
        write_foreign,
        write_foreign_meta,
        write_other_engine,
        write_other_format,
        write_without_check,
        write_under_another_key,
    ],
)
def test_a_file_that_is_not_ours_is_set_aside_and_a_new_one_begun(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, write: Any
) -> None:
    write(path)
    caplog.clear()
    for _ in range(2):  # the second time, the new file is ours
        with opened(path, clock) as store:
            store.put_many(statements([ALICE]))
            store.flush()
            (held,) = store.get_many([ALICE])
            assert held is not None
            assert is_about(ALICE, held)
            assert store.statistics().healthy
    (aside,) = set_aside(path)
    assert (aside / "data.mdb").stat().st_size > 0
    (message,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert aside.name in message
    assert str(path) in message


def test_garbage_is_kept_as_it_was(path: Path, clock: Clock) -> None:
    write_garbage(path)
    before = (path / "data.mdb").read_bytes()
    with opened(path, clock):
        (aside,) = set_aside(path)
    assert (aside / "data.mdb").read_bytes() == before


def test_several_files_can_be_set_aside_within_a_second(path: Path, clock: Clock) -> None:
    for number in range(3):
        write_garbage(path)
        with opened(path, clock):
            assert len(set_aside(path)) == number + 1
        for file in path.iterdir():
            file.unlink()
        path.rmdir()


def test_a_cache_set_aside_for_its_key_can_be_put_back(path: Path, clock: Clock) -> None:
    write_under_another_key(path)
    opened(path, clock).__enter__().close()
    (aside,) = set_aside(path)
    path.rename(path.with_name("the new one"))
    aside.rename(path)
    with opened(path, clock, master_keys=(bytes(32),)) as store:
        assert None not in store.get_many([ALICE])


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])
def test_a_file_cut_short_is_set_aside(path: Path, part: float) -> None:
    """In a process of its own: a mistake here would be a read beyond the end of the file, which kills."""
    write_ours(path)
    data = path / "data.mdb"
    os.truncate(data, int(part * data.stat().st_size))
    script = """
import sys
from pathlib import Path
from tests.store.test_lmdb_store import *
with opened(Path(sys.argv[1]), Clock()) as store:
    keys = numbered(range(4_000))
    held = store.get_many(keys)
    assert all(is_about(key, each) for key, each in zip(keys, held) if each is not None)
    store.put_many(statements(keys, institution="cars"))
    store.flush()
    assert None not in store.get_many(keys) and store.statistics().healthy
"""
    with run(script, path) as process:
        process.communicate()
    assert process.returncode == 0
    assert len(set_aside(path)) == (part > 0)  # of an empty file there is nothing to keep


def test_damage_found_while_running_begins_a_new_file(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged:
        """An environment whose every transaction finds a broken page."""

        def __init__(self, env: lmdb.Environment) -> None:
            self._env = env

        def begin(self, **_: object) -> lmdb.Transaction:
            raise lmdb.CorruptedError("a page is broken")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._env, name)

    with opened(path, clock) as store:
        store.put_many(statements([ALICE]))
        store.flush()
        file_of(store).env = Damaged(file_of(store).env)  # type: ignore[assignment]
        assert store.statistics().records == 0  # whoever looks at metrics is told as well as can be
        assert store.get_many([ALICE, BOB]) == [None, None]
        store.put_many(statements([BOB]))
        store.flush()
        held = store.get_many([ALICE, BOB])
        assert held[0] is None
        assert held[1] is not None
        assert store.statistics().healthy
    (aside,) = set_aside(path)
    assert aside.name in caplog.text
    with opened(aside, clock) as store:
        assert None not in store.get_many([ALICE])


def test_a_damaged_file_that_cannot_be_set_aside_costs_hits_until_it_can(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with opened(path, clock) as store:
        store.put_many(statements([ALICE]))
        store.flush()
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", refuse)
            store._disk.report(lmdb.CorruptedError("a page is broken"))
            for number in range(3):
                store.put_many(statements([BOB]))
                store.flush()
                assert store.get_many([ALICE, BOB]) == [None, None]
                assert (store.statistics().healthy, store.statistics().dropped) == (False, number + 1)
        assert not set_aside(path)
        keep_putting(store, BOB)
        assert store.get_many([ALICE]) == [None]
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    (aside,) = set_aside(path)
    assert len(errors) == 2
    assert "check that the folder is writable" in errors[0]
    assert aside.name in errors[1]


@pytest.mark.parametrize(
    ("owner", "step"), [(Path, "mkdir"), (lmdb, "open"), (Cipher, "seal")], ids=["folder", "file", "contents"]
)
def test_a_new_file_that_cannot_be_begun_is_begun_later(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(path, clock) as store:
        store.put_many(statements([ALICE]))
        store.flush()
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, refuse)
            store._disk.report(lmdb.CorruptedError("a page is broken"))
            for _ in range(3):
                store.put_many(statements([BOB]))
                store.flush()
                assert not store.statistics().healthy
        keep_putting(store, BOB)
    assert len(set_aside(path)) == 1


def test_an_operator_may_clear_away_a_damaged_file_by_hand(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with opened(path, clock) as store, monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        store._disk.report(lmdb.CorruptedError("a page is broken"))
        store.put_many(statements([ALICE]))
        store.flush()
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
        keep_putting(store, ALICE)
    assert not set_aside(path)


def keep_putting(store: LmdbStore, key: bytes) -> None:
    """Puts until it is kept. Bounded by the test's own patience."""
    patience = time.monotonic() + 60
    store.put_many(statements([key]))
    store.flush()
    while not store.statistics().healthy:
        assert time.monotonic() < patience
        store.put_many(statements([key]))
        store.flush()
    assert None not in store.get_many([key])


@pytest.mark.parametrize("error", [ValueError, KeyError, struct.error])
def test_an_error_nobody_foresaw_costs_the_answers_at_hand_and_no_others(
    path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def fail(*_: object) -> None:
        raise error("诸葛亮某某")

    with opened(path, clock) as store:
        with monkeypatch.context() as patched:
            patched.setattr(Cipher, "seal_many", fail)
            for _ in range(2):
                store.put_many(statements([ALICE]))
                store.flush()
        assert (store.statistics().healthy, store.statistics().dropped) == (False, 2)
        assert (store.statistics().pending, store.get_many([ALICE])) == (0, [None])
        keep_putting(store, BOB)
        assert store.statistics().dropped == 2
    (message,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert f"{error.__name__} at " in message
    assert "诸葛亮" not in caplog.text


@pytest.mark.parametrize("below", ["", "cache"], ids=["is a file", "is below a file"])
def test_a_folder_that_cannot_be_used_is_refused_with_a_remedy(tmp_path: Path, clock: Clock, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("a file")
    with pytest.raises(StoreError, match="check that the folder is writable") as refusal:
        LmdbStore(file / below, master_keys=(MASTER,), map_size=MIB, clock=clock)
    assert str(file / below) in str(refusal.value)
    assert file.read_text() == "a file"


# --- what is on disk --------------------------------------------------------------------------------------------------


def blocks(txn: lmdb.Transaction) -> list[tuple[bytes, bytes, list[tuple[int, slice]]]]:
    """Every block in the file: its name, its content, and per record the subject's tag and where in it it is."""
    found = []
    for name, content in txn.cursor():
        rows, locations = block.rows_of([0], [content])
        spans = [slice(*span) for span in zip(*block.spans_of(locations), strict=True)]
        found.append((bytes(name), bytes(content), list(zip(rows["tag"].tolist(), spans, strict=True))))
    return found


def tag_of(key: bytes) -> int:
    return int(tags_of(key)[0])


@pytest.mark.parametrize("place", [0, 11, 12, 60, -1], ids=["nonce", "nonce's end", "body", "middle", "tag"])
def test_a_record_with_one_wrong_bit_is_absent_and_counted(path: Path, clock: Clock, place: int) -> None:
    with opened(path, clock) as store:
        store.put_many(statements([ALICE, BOB]))
    with raw(path) as txn:
        ((name, content, records),) = blocks(txn)
        damaged = bytearray(content)
        damaged[range(*dict(records)[tag_of(ALICE)].indices(len(content)))[place]] ^= 1
        txn.put(name, bytes(damaged))
    with opened(path, clock) as store:
        alice, whole = store.get_many([ALICE, BOB])
        assert alice is None
        assert whole is not None
        assert is_about(BOB, whole)
        assert store.statistics().damaged == 1
        store.put_many(statements([ALICE]))
        store.flush()
        assert None not in store.get_many([ALICE])


@pytest.mark.parametrize("length", [0, 1, 2, 9, 15, 16, 27, 28, 44])
@pytest.mark.parametrize("has_index", [True, False], ids=["indexed", "to be indexed"])
def test_a_record_cut_short_is_absent(path: Path, clock: Clock, length: int, has_index: bool) -> None:
    with opened(path, clock) as store:
        store.put_many(statements([ALICE]))
    with raw(path) as txn:
        ((name, content, _),) = blocks(txn)
        txn.put(name, content[:length])
    if not has_index:
        (path / "index").unlink()
    with opened(path, clock) as store:
        assert store.get_many([ALICE]) == [None]
        store.put_many(statements([ALICE]))
        store.flush()
        assert None not in store.get_many([ALICE])


def test_a_record_under_another_subjects_key_is_never_served(path: Path, clock: Clock) -> None:
    with opened(path, clock) as store:
        store.put_many(statements([ALICE]))
    with raw(path) as txn:
        ((_, content, ((_, span),)),) = blocks(txn)
        (forged,), _ = block.build(2, tags_of(BOB), [NOW + 3600], [content[span]])
        txn.put((2).to_bytes(8, "big"), forged)
    with opened(path, clock) as store:
        alice, bob = store.get_many([ALICE, BOB])
        assert alice is not None
        assert bob is None
        assert store.statistics().damaged == 1


def test_nothing_on_disk_tells_who_was_asked_about_or_what_was_said(path: Path, clock: Clock) -> None:
    number, name, said = "11010519491231002X", "诸葛亮某某", "a bank account of his"
    (key,) = Keyer(b"secret").keys([1], [number], [name])
    content = encoding.content(Outcome.FOUND, observed_at=NOW, problem=Problem(number, name, said))
    secret = Statements(
        institution=record.institution_key("mock-bank"),
        keys=[key],
        outcomes=bytes([Outcome.FOUND]),
        observed=[NOW],
        expires=[NOW + 3600],
        segments=encoding.make_segments("mock-bank", [content], Source.INSTITUTION),
    )
    with opened(path, clock) as store:
        for _ in range(3):
            store.put_many(secret)
            store.flush()
    files = b"".join(file.read_bytes() for file in path.iterdir())
    assert tag_of(key).to_bytes(8, "little") in files  # of the key alone, which tells nothing without the secret
    subject = f"1\x1f{number}\x1f{name}".encode()
    for told in (number.encode(), name.encode(), said.encode(), b"mock-bank", MASTER, MASTER.hex().encode(), subject):
        assert told not in files
    for text in (subject, number.encode(), name.encode()):  # what anybody could compute from a list of citizens
        assert blake2b(text, digest_size=16).digest() not in files


def nonces(path: Path) -> list[bytes]:
    """Those of all that is sealed in the file."""
    with raw(path) as txn:
        sealed = [content[span] for _, content, records in blocks(txn) for _, span in records]
    with raw(path, database=b"meta") as txn:
        sealed.append(bytes(txn.get(b"check", b"")))
    return [each[:12] for each in sealed]


def test_a_nonce_is_used_once_though_the_folder_is_restored_from_a_snapshot(
    path: Path, tmp_path: Path, clock: Clock
) -> None:
    """The same file, opened as often as before it was copied, and then written to on both sides."""
    keys = numbered(range(50))
    snapshot = tmp_path / "snapshot"
    with opened(path, clock) as store:
        store.put_many(statements(keys, observed=NOW - 9))
    before = set(nonces(path))
    used: list[bytes] = []
    shutil.copytree(path, snapshot)
    for folder in (path, snapshot, path):
        with opened(folder, clock) as store:
            for step in range(3):
                store.put_many(statements(keys, observed=NOW + step))
                store.flush()
        used += [each for each in nonces(folder) if each not in before]
        if folder == snapshot:
            shutil.rmtree(path)
            shutil.copytree(snapshot, path)
            before |= set(nonces(path))
    assert len(used) > 3 * 50
    assert len(used) == len(set(used))


def test_the_folder_is_its_owners_alone(path: Path, clock: Clock) -> None:
    with opened(path, clock):
        assert path.stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in path.iterdir())


def test_two_stores_know_nothing_of_each_other(tmp_path: Path, clock: Clock) -> None:
    with opened(tmp_path / "one", clock) as one, opened(tmp_path / "two", clock) as two:
        one.put_many(statements([ALICE]))
        two.put_many(statements([BOB]))
        one.flush()
        two.flush()
        assert [each is None for each in one.get_many([ALICE, BOB])] == [False, True]
        assert [each is None for each in two.get_many([ALICE, BOB])] == [True, False]
