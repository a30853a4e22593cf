"""The head of the index: whatever bit of it is wrong, the store serves what was committed, and goes on committing."""

import shutil
from pathlib import Path

import pytest

from broker.store.index import Index
from broker.store.index_table import Head, tags_of
from broker.store.lmdb_store import LmdbStore
from tests.store.test_lmdb_store import MIB, Clock, is_about, numbered, opened, set_aside, statements
from tests.store.test_reading_never_fails import wait_until
from tests.store.test_store_workers import shared

HEAD = 64
"""Bytes of the file that mean something; the rest of the page is empty."""
KEYS, MORE = numbered(range(3_300)), numbered(range(-300, 0))
STORE = b"s" * 16
TAGS = tags_of(b"".join(KEYS))
RETIRED = range(56, 64)
"""Bytes that a wrong bit makes no difference to."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose index has grown."""
    path = tmp_path_factory.mktemp("written") / "cache"
    with opened(path, Clock()) as store:
        store.put_many(statements(KEYS))
        store.flush()
    return path


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """One that has grown, and covers 17 blocks."""
    index = Index(tmp_path / "index", store=STORE)
    index.point(TAGS, TAGS)
    index.cover(17)
    return index


def flip(path: Path, at: int, mask: int) -> None:
    """In the file itself, so that whoever has it mapped sees it as well."""
    with path.open("r+b") as file:
        file.seek(at)
        (before,) = file.read(1)
        file.seek(at)
        file.write(bytes([before ^ mask]))


def check(store: LmdbStore, path: Path, *, size: int) -> None:
    """All that was committed is served, what is new is committed, and the index does not grow beyond bounds."""
    wait_until(lambda: None not in store.get_many(KEYS))
    held = store.get_many(KEYS)
    assert all(each is not None and is_about(key, each) for key, each in zip(KEYS, held, strict=True))
    commits = store.statistics().commits
    store.put_many(statements(MORE, institution="land"))
    store.flush()
    assert None not in store.get_many(MORE)
    statistics = store.statistics()
    assert (statistics.healthy, statistics.dropped, statistics.pending) == (True, 0, 0)
    assert statistics.commits > commits
    assert statistics.records == len(KEYS) + len(MORE)
    assert (path / "index").stat().st_size <= 2 * size


def test_a_store_opened_over_a_wrong_head_is_as_good_as_new(written: Path, tmp_path: Path) -> None:
    """One bit of each byte here; all of them below, where it takes less time."""
    size = (written / "index").stat().st_size
    for at in (*range(HEAD), HEAD, 100, 4_095):
        path = tmp_path / str(at)
        shutil.copytree(written, path)
        flip(path / "index", at, 1 << at % 8)
        with opened(path, Clock()) as store:
            check(store, path, size=size)
        with opened(path, Clock()) as store:  # what was committed last can be read, too
            assert None not in store.get_many([*KEYS, *MORE])
        assert not set_aside(path)
        shutil.rmtree(path)


def test_a_head_that_goes_wrong_while_workers_have_it_open_costs_a_round(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with shared(path) as (store, worker):
        store.put_many(statements(KEYS))
        store.flush()
        size = (path / "index").stat().st_size
        for at in range(0, HEAD, 3):
            flip(path / "index", at, 1 << at % 8)
            keys = numbered(range(-100 * at - 100, -100 * at))
            worker.do("put", -100 * at - 100, -100 * at)
            worker.do("flush")
            store.put_many(statements(keys, institution="land"))
            store.flush()
            wait_until(lambda: None not in store.get_many(KEYS))
            assert None not in store.get_many(keys)
            assert worker.do("get", 0, 3_300) == 3_300
        statistics = store.statistics()
        assert (statistics.healthy, statistics.dropped) == (True, 0)
        assert (path / "index").stat().st_size <= 4 * size
    with opened(path, Clock(), map_size=64 * MIB) as store:
        assert None not in store.get_many([*KEYS, *numbered(range(-100, 0))])


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "to be opened"])
@pytest.mark.usefixtures("index")
def test_the_writer_begins_again_at_any_wrong_bit_that_matters(tmp_path: Path, is_open: bool) -> None:
    content = (tmp_path / "index").read_bytes()
    for at in range(HEAD):
        for bit in range(8):
            (tmp_path / "copy").write_bytes(content)
            copy = Index(tmp_path / "copy", store=STORE)
            assert (copy.covered, copy.subjects) == (17, len(TAGS))
            flip(tmp_path / "copy", at, 1 << bit)
            if not is_open:
                copy = Index(tmp_path / "copy", store=STORE)
            assert 0 <= copy.subjects <= copy.size
            assert set(copy.find(TAGS).tolist()) <= {0, *TAGS.tolist()}
            copy.ensure(17)
            assert (copy.covered, copy.subjects) == ((17, len(TAGS)) if at in RETIRED else (0, 0)), (at, bit)
            assert copy.size <= len(content)
            copy.point(TAGS[:10], TAGS[:10])
            assert copy.find(TAGS[:10]).tolist() == TAGS[:10].tolist()


@pytest.mark.parametrize("head", [Head(18, 100), Head(2**64 - 1, 100), Head(17, 8_193), Head(17, 2**64 - 1)], ids=str)
def test_numbers_that_cannot_be_are_not_believed_though_the_checksum_is_right(index: Index, head: Head) -> None:
    index._own.write_head(head)
    assert index.ensure(17)
    assert (index.covered, index.subjects) == (0, 0)


def test_the_last_block_there_is_may_be_covered(index: Index) -> None:
    assert not index.ensure(17)
    assert index.covered == 17


def test_a_table_that_is_nearly_empty_does_not_grow_whatever_its_head_says(index: Index) -> None:
    size = index.size
    index._own.locations[:] = 0
    index._write_head(Head(17, index._own.slots))
    more = tags_of(b"".join(MORE))
    with pytest.raises(ValueError, match="the index is damaged"):
        index.point(more, more)
    assert index.size < size
    index.ensure(17)
    assert (index.covered, index.subjects) == (0, 0)


def test_growing_counts_what_is_there(index: Index) -> None:
    index._own.locations[:1_000] = 0
    there = index._own.count()
    more = tags_of(b"".join(numbered(range(10_000, 15_000))))
    index.point(more, more)
    assert index.subjects == there + len(more)
