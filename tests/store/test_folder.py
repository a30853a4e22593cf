"""The folder and its lock: nobody waits for it without bound, and whoever gives up says who holds it."""

import fcntl
import os
from pathlib import Path

import pytest

from broker.store.folder import LONGEST_PAUSE, Folder, LockedError
from tests.store.test_store_workers import write_lock_taken


def test_the_lock_is_had_when_nobody_holds_it(tmp_path: Path) -> None:
    folder, other = Folder(tmp_path), Folder(tmp_path)
    with folder.exclusive(patience=0):
        pass
    with other.exclusive(patience=0):
        pass


def test_whoever_waits_too_long_says_who_holds_it(tmp_path: Path) -> None:
    with (
        write_lock_taken(tmp_path),
        pytest.raises(LockedError, match=f"held by process {os.getpid()}; end that if it is stopped"),
        Folder(tmp_path).exclusive(patience=0),
    ):
        pytest.fail("it was taken twice")


def test_a_wait_is_given_up_when_told(tmp_path: Path) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 10

    with (
        write_lock_taken(tmp_path),
        pytest.raises(LockedError),
        Folder(tmp_path).exclusive(patience=1e9, pause=pause),
    ):
        pytest.fail("it was taken twice")
    assert len(pauses) == 10
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_a_lock_let_go_while_somebody_waits_is_theirs(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with Folder(tmp_path).exclusive(patience=1e9, pause=lambda _: fcntl.flock(holder, fcntl.LOCK_UN)):
        pass
    os.close(holder)


def test_the_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    folder, other = Folder(tmp_path), Folder(tmp_path)
    with pytest.raises(ZeroDivisionError), folder.exclusive(patience=0):
        1 / 0  # noqa: B018
    with other.exclusive(patience=0):
        pass


def test_a_folder_that_was_moved_is_not_set_aside_again(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.mkdir()
    folder, late = Folder(path), Folder(path)
    assert folder.set_aside("a test")
    path.mkdir()
    assert not late.set_aside("a test")
    assert len(list(tmp_path.glob("cache.damaged-*"))) == 1
