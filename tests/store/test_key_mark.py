"""A store whose key was replaced by mistake is taken up again once the key is back."""

import errno
from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.store import key_mark
from broker.store.broker_lock import LOCK_FILE, broker_lock
from broker.store.key_mark import is_marked, refuse_other_keys, take_up
from tests.store.test_lmdb_store import ALICE, BOB, MASTER, Clock, opened, set_aside, statements

WRONG = bytes(32)


def start(path: Path, master_key: bytes, *, put: bytes | None = None) -> bool:
    """As a broker starts; with an answer about this subject. Returns whether it has one about Alice."""
    with broker_lock(path):
        take_up(path, (master_key,))
        with opened(path, Clock(), master_keys=(master_key,)) as store:
            if put is not None:
                store.put_many(statements([put]))
                store.flush()
            return store.get_many([ALICE]) != [None]


def test_after_a_wrong_key_and_back_the_old_cache_is_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    assert start(path, MASTER, put=ALICE)
    assert not start(path, WRONG, put=BOB)
    assert not start(path, WRONG), "its own again"
    assert start(path, MASTER)
    assert start(path, MASTER)
    (aside,) = set_aside(path)
    assert ".other-key-" in aside.name
    assert not start(path, WRONG)
    assert start(path, MASTER), "as often as one likes"


def test_a_broker_that_has_none_of_the_keys_of_its_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    refuse_other_keys(path, (WRONG,))
    assert not is_marked(path)
    start(path, MASTER)
    assert is_marked(path)
    refuse_other_keys(path, (WRONG, MASTER))
    for keys in ((WRONG,), ()):
        with pytest.raises(StoreError, match=f"the cache {path} was written under a key that is not there; restore it"):
            refuse_other_keys(path, keys)


def test_a_cache_is_of_use_without_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(key_mark, "_write_mark", refuse)
    assert start(tmp_path / "cache", MASTER, put=ALICE)
    assert start(tmp_path / "cache", MASTER)


def test_of_several_the_newest_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    start(path, MASTER)
    start(path, WRONG)
    set_aside(path)[0].rename(tmp_path / "cache.other-key-20200101T000000-1-1")
    start(path, bytes([7]) * 32)
    (newest,) = [one for one in set_aside(path) if "2020" not in one.name]
    start(path, MASTER)
    assert (tmp_path / "cache.other-key-20200101T000000-1-1") not in set_aside(path)
    assert newest in set_aside(path), "it is of another key"


def test_a_damaged_cache_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    start(path, MASTER, put=ALICE)
    path.rename(tmp_path / "cache.damaged-20260101T000000-1-1")
    start(path, WRONG)
    assert not start(path, MASTER)


def test_without_a_cache_of_another_key_nothing_happens(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    assert not take_up(path, (MASTER,))
    start(path, MASTER, put=ALICE)
    assert not take_up(path, (MASTER,))
    assert not take_up(path, (WRONG,)), "there is none of its key"
    assert not set_aside(path)


def test_what_takes_the_place_of_a_cache_is_locked_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    start(path, MASTER)
    start(path, WRONG)
    with broker_lock(path):
        lock = (path / LOCK_FILE).stat().st_ino
        assert take_up(path, (MASTER,))
        assert (path / LOCK_FILE).stat().st_ino == lock


@pytest.mark.parametrize("content", [b"", b"\xff", b"some other text"])
def test_a_mark_that_is_damaged_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache"
    start(path, MASTER, put=ALICE)
    (path / "key-id").write_bytes(content)
    assert start(path, MASTER)
    assert not start(path, WRONG)
    assert start(path, MASTER)
