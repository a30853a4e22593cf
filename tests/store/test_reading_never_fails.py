"""Rule 4 of the store: a read is a miss, never an exception, whatever is wrong; and the writer repairs it."""

import logging
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.store import block
from broker.store.cipher import Cipher
from broker.store.index import Index
from broker.store.index_table import tags_of
from broker.store.lmdb_store import LmdbStore
from tests.store.test_lmdb_store import BOB, Clock, file_of, is_about, numbered, opened, raw, set_aside, statements

KEYS = numbered(range(3_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def grow_index(path: Path, store: LmdbStore) -> None:
    """As another worker does that has more to write: this store's mapping is then of a file that has been replaced."""
    with file_of(store).env.begin() as txn:
        salt = txn.get(b"salt", b"", db=file_of(store).env.open_db(b"meta", txn=txn, create=False))
    other = Index(path / "index", store=bytes(salt))
    size = other.size
    number = 0
    while other.size == size:
        tags = tags_of(b"".join(numbered(range(-number - 1_000, -number))))
        other.ensure(1 << 40)
        other.point(tags, tags)
        number += 1_000


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def remove_index(path: Path) -> None:
    (path / "index").unlink()


def empty_index(path: Path) -> None:
    (path / "index").write_bytes(b"")


def shorten_index(path: Path) -> None:
    content = (path / "index").read_bytes()
    (path / "index").unlink()  # or whoever has it mapped would be ended
    (path / "index").write_bytes(content[:5_000])


def write_noise(path: Path) -> None:
    (path / "index").unlink()
    (path / "index").write_bytes(bytes(range(256)) * 300)


def make_it_a_folder(path: Path) -> None:
    (path / "index").unlink()
    (path / "index").mkdir()


def wait_until(condition: Callable[[], bool]) -> None:
    """Bounded by the test's own patience."""
    patience = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


def put(store: LmdbStore, keys: list[bytes]) -> None:
    store.put_many(statements(keys))
    store.flush()


@pytest.mark.parametrize("spoil", [remove_index, empty_index, shorten_index, write_noise])
def test_an_index_lost_while_it_was_replaced_costs_misses_until_the_writer_has_made_it_again(
    path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path, Clock()) as store:
        put(store, KEYS)
        grow_index(path, store)
        spoil(path)
        held = store.get_many(KEYS)
        assert all(is_about(key, each) for key, each in zip(KEYS, held, strict=True) if each is not None)
        store.statistics()
        wait_until(lambda: None not in store.get_many(KEYS))
        put(store, [BOB])
        assert None not in store.get_many([*KEYS, BOB])
        statistics = store.statistics()
        assert (statistics.records, statistics.healthy, statistics.dropped) == (len(KEYS) + 1, True, 0)
    assert not set_aside(path)
    assert len([each for each in caplog.records if "cannot be read" in each.getMessage()]) <= 1


def test_a_folder_moved_while_the_index_was_replaced_costs_what_was_in_it(path: Path) -> None:
    with opened(path, Clock()) as store:
        put(store, KEYS)
        grow_index(path, store)
        move_away(path)
        assert store.get_many(KEYS) == [None] * len(KEYS)
        put(store, [BOB])
        held = store.get_many([KEYS[0], BOB])
        assert held[0] is None
        assert held[1] is not None


def test_an_index_that_cannot_be_made_costs_misses_and_is_reported_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path, Clock()) as store:
        put(store, KEYS)
        grow_index(path, store)
        make_it_a_folder(path)
        for _ in range(3):
            assert store.get_many(KEYS).count(None) == len(KEYS)
            store.put_many(statements([BOB]))
            store.flush()
        (path / "index").rmdir()
        wait_until(lambda: None not in store.get_many(KEYS))
    messages = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert len([each for each in messages if "IsADirectoryError at " in each]) == 1


ERRORS = [OSError, ValueError, IndexError, KeyError, OverflowError, MemoryError, struct.error, RuntimeError]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("owner", "step"), [(Index, "find"), (block, "spans_of"), (Cipher, "open_many")], ids=["index", "log", "cipher"]
)
def test_whatever_a_read_raises_is_a_miss_and_reported_once_by_its_origin(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: object,
    step: str,
    error: type[Exception],
) -> None:
    def fail(*_: object) -> None:
        raise error("诸葛亮某某")

    with opened(path, Clock()) as store:
        put(store, KEYS[:10])
        caplog.clear()
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, fail)
            for _ in range(3):
                assert store.get_many(KEYS[:10]) == [None] * 10
        assert None not in store.get_many(KEYS[:10])
        assert store.statistics().misses == 30
    (message,) = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert f"{error.__name__} at " in message
    assert "诸葛亮" not in caplog.text
    assert all(each.levelno == logging.ERROR for each in caplog.records if "cannot be read" in each.getMessage())


def test_a_log_with_garbage_in_place_of_blocks_costs_those_blocks(path: Path) -> None:
    with opened(path, Clock()) as store:
        put(store, KEYS)
    with raw(path) as txn:
        names = [bytes(name) for name, _ in txn.cursor()]
        for number, name in enumerate(names[::2]):
            txn.put(name, bytes([number % 256]) * (number * 7 % 300))
    with opened(path, Clock()) as store:
        held = store.get_many(KEYS)
        assert all(is_about(key, each) for key, each in zip(KEYS, held, strict=True) if each is not None)
        assert 0 < held.count(None) < len(KEYS)
