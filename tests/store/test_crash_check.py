"""The check after a crash: what ends the process that reads it is set aside, what is whole stays, and nobody waits."""

import logging
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.store import crash_check, file_check, lmdb_check
from broker.store.base import no_progress
from broker.store.crash_check import check_after_crash
from broker.store.file_check import SIGNALS_OF_DAMAGE, Verdict, check_files
from broker.store.folder import Folder
from tests.store.test_lmdb_store import Clock, numbered, opened, run, set_aside, statements, write_ours
from tests.store.test_store_workers import Worker, write_lock_taken

PAGE = 4096
_LEAF, _LONG_VALUE = 2, 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def flip(path: Path, place: int, bit: int) -> None:
    data = bytearray((path / "data.mdb").read_bytes())
    data[place] ^= 1 << bit
    (path / "data.mdb").write_bytes(data)


def enlarge_blocks(path: Path) -> None:
    """One wrong bit in each leaf: an entry, a block of the log, is then two GiB longer than the file."""
    data = (path / "data.mdb").read_bytes()
    for start in range(2 * PAGE, len(data), PAGE):
        _, _, kind, lower, _ = struct.unpack_from("<QHHHH", data, start)
        if kind == _LEAF and lower > 16:
            node = start + struct.unpack_from("<H", data, start + 16)[0]
            if struct.unpack_from("<H", data, node + 4)[0] == _LONG_VALUE:
                flip(path, node + 3, 7)


_READ = """
import sys
from pathlib import Path
from tests.store.test_lmdb_store import Clock, numbered, opened
with opened(Path(sys.argv[1]), Clock()) as store:
    store.get_many(numbered(range(4_000)))
"""


def code_of_reader(path: Path) -> int:
    """How a process ends that opens the store and reads all of it."""
    with run(_READ, path) as reader:
        reader.communicate()
    return reader.returncode


def test_a_file_that_ends_whoever_reads_it_is_set_aside_so_that_the_second_successor_lives(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_ours(path)
    enlarge_blocks(path)
    deaths = [code_of_reader(path), code_of_reader(path)]
    assert all(-death in SIGNALS_OF_DAMAGE for death in deaths), deaths  # for ever, if nobody looked into it
    assert check_after_crash(path)
    (aside,) = set_aside(path)
    assert aside.name in caplog.text
    assert code_of_reader(path) == 0
    assert not check_after_crash(path)
    assert len(set_aside(path)) == 1


@pytest.mark.parametrize(
    "place",
    [16 + 24 + 48 + 40, 16 + 16 + 7, 16 + 24 + 96 + 4],
    ids=["root", "size of the map", "last page"],
)
def test_a_file_whose_meta_pages_are_damaged_is_set_aside(path: Path, place: int) -> None:
    write_ours(path)
    for number in (0, 1):
        flip(path, PAGE * number + place, 6)
    assert check_after_crash(path)
    assert len(set_aside(path)) == 1


def test_a_store_opens_over_meta_pages_that_lmdb_cannot_open(path: Path) -> None:
    """Without a crash: LMDB says that there is no memory, or that the map is too small, which is not true."""
    write_ours(path)
    flip(path, PAGE + 16 + 16 + 7, 6)
    with opened(path, Clock()) as store:
        assert store.statistics().healthy
    assert len(set_aside(path)) == 1


def test_a_file_that_is_whole_stays(path: Path) -> None:
    write_ours(path)
    assert not check_after_crash(path)
    assert not set_aside(path)
    with opened(path, Clock()) as store:
        assert None not in store.get_many(numbered(range(4_000)))


@pytest.mark.parametrize("prepare", [lambda _: None, Path.mkdir], ids=["no folder", "an empty folder"])
def test_where_there_is_no_file_there_is_nothing_to_do(path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(path)
    assert not check_after_crash(path)
    assert not set_aside(path)


def test_other_workers_go_on_writing_while_the_file_is_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other worker commits while the check is at work, and what it commits is not taken for damage."""
    with opened(path, Clock()) as store:
        store.put_many(statements(numbered(range(2_000))))
        store.flush()
        with Worker(path) as worker:
            assert worker.do("get", 0, 2_000) == 2_000

            def command(folder: Path) -> list[str]:
                for start in range(2_000, 6_000, 1_000):
                    worker.do("put", start, start + 1_000)
                    worker.do("flush")
                return lmdb_check.command(folder)

            monkeypatch.setattr(file_check, "command", command)
            assert not check_after_crash(path)
            worker.do("put", 6_000, 6_100)
            worker.do("flush")
            assert worker.do("get", 0, 6_100) == 6_100
    assert not set_aside(path)


def test_other_workers_go_on_in_a_new_file_when_theirs_was_set_aside(path: Path) -> None:
    write_ours(path)
    with Worker(path) as worker:
        assert worker.do("get", 0, 4_000) == 4_000
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(file_check, "command", lambda _: [sys.executable, "-c", "import sys; sys.exit(3)"])
            assert check_after_crash(path)
        worker.do("put", 0, 10)
        worker.do("flush")
        assert worker.do("get", 0, 4_000) == 10
    assert len(set_aside(path)) == 1


def test_a_check_that_makes_no_progress_is_given_up_and_the_file_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On an overloaded machine; it was set aside for that."""
    write_ours(path)
    monkeypatch.setattr(file_check, "_PATIENCE", 0.0)
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", "import signal; signal.pause()"])
    assert not check_after_crash(path)
    assert not set_aside(path)
    assert "has not come further" in caplog.text
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


def test_a_check_says_that_it_comes_further(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes in all."""
    signs: list[None] = []
    code = "for _ in range(20): print('.', end='', flush=True)"
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", code])
    assert check_files(path, lambda: signs.append(None)).verdict is Verdict.WHOLE
    assert signs


def test_the_check_writes_a_dot_for_every_so_many_bytes(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ours(path)
    monkeypatch.setattr(lmdb_check, "_DOT", 100_000)
    assert lmdb_check.main(str(path)) == 0
    read = sum(file.stat().st_size for file in path.iterdir())
    assert 5 < len(capsys.readouterr().out) <= read / 100_000


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("pass", Verdict.WHOLE),
        ("sys.exit(3)", Verdict.DAMAGED),
        ("sys.exit(1)", Verdict.UNKNOWN),
        ("raise MemoryError", Verdict.UNKNOWN),
        *[(f"os.kill(os.getpid(), {int(number)})", Verdict.DAMAGED) for number in sorted(SIGNALS_OF_DAMAGE)],
        (f"os.kill(os.getpid(), {int(signal.SIGKILL)})", Verdict.UNKNOWN),
        (f"os.kill(os.getpid(), {int(signal.SIGTERM)})", Verdict.UNKNOWN),
    ],
)
def test_what_an_ending_of_the_check_says(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: str, verdict: Verdict
) -> None:
    quiet = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (0, 0));"
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", f"{quiet} {code}"])
    assert check_files(path, no_progress).verdict is verdict


@pytest.mark.parametrize("code", ["sys.exit(1)", f"os.kill(os.getpid(), {int(signal.SIGKILL)})"])
def test_a_check_that_could_not_be_made_says_so_and_keeps_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    write_ours(path)
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", f"import os, sys; {code}"])
    assert not check_after_crash(path)
    assert not set_aside(path)
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


def test_a_damaged_file_whose_lock_is_held_for_too_long_is_reported(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ours(path)
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", "import sys; sys.exit(3)"])
    monkeypatch.setattr(crash_check, "PATIENCE", 0.0)
    with write_lock_taken(path), pytest.raises(StoreError, match="its lock is held by process"):
        check_after_crash(path)
    assert not set_aside(path)


def test_a_folder_that_cannot_be_renamed_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    write_ours(path)
    monkeypatch.setattr(file_check, "command", lambda _: [sys.executable, "-c", "import sys; sys.exit(3)"])
    monkeypatch.setattr(Folder, "set_aside", refuse)
    with pytest.raises(StoreError, match="rename it, or make its parent writable"):
        check_after_crash(path)
