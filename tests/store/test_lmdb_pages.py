"""The pages of an LMDB file: those of a store in use are whole, and no wrong bit that matters goes unnoticed."""

import struct
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from broker.store.cipher import Buffer
from broker.store.lmdb_check import check_entry, read_metas
from broker.store.lmdb_pages import DamageError, Meta, Pages
from tests.store.test_lmdb_store import Clock, numbered, opened, statements

PAGE = 4096
META, LEAF, BRANCH, OVERFLOW = 8, 2, 1, 4
PADDING = {8, 9}  # bytes of a page's head that mean nothing


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store that has lived: it has free pages, and a tree of two levels."""
    path, clock = tmp_path_factory.mktemp("pages") / "cache", Clock()
    with opened(path, clock) as store:
        for number in range(12):
            expires = int(clock.now) + (3 if number < 6 else 5_000)
            store.put_many(statements(numbered(range(800 * number, 800 * number + 1_000)), expires=expires))
            store.flush()
            clock.now += 2
    return (path / "data.mdb").read_bytes()


def newest(data: bytes) -> Meta:
    return max((Meta.read(data, number, PAGE) for number in (0, 1)), key=lambda meta: meta.transaction)


def check(data: bytes) -> int:
    """Returns how many entries there are. Raises `DamageError`."""
    count = 0

    def visit(tree: bytes, key: bytes, value: Buffer) -> None:
        nonlocal count
        count += 1
        check_entry(tree, key, value)

    for number in (0, 1):
        Meta.read(data, number, PAGE)
    Pages(data, newest(data)).check(visit)
    return count


def kind_of(data: bytes, number: int) -> int:
    kind: int = struct.unpack_from("<H", data, PAGE * number + 10)[0]
    return kind


def in_use(data: bytes) -> list[int]:
    """The pages that the check reads: not those that are free."""
    pages: list[int] = []
    read, meta = Pages.page, newest(data)

    def note(self: Pages, number: int, count: int = 1) -> object:
        pages.extend(range(number, number + count))
        return read(self, number, count)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pages, "page", note)
        Pages(data, meta).check(lambda *_: None)
    return pages


def test_a_file_that_has_lived_is_whole(data: bytes) -> None:
    assert check(data) > 100
    kinds = {kind_of(data, number) for number in in_use(data)}
    assert kinds == {BRANCH, LEAF, OVERFLOW}
    assert len(in_use(data)) + 2 < newest(data).last + 1  # others are free


def structure(data: bytes) -> Iterator[int]:
    """Where in the file each byte lies that tells of pages and entries: heads, and all that is used of trees' pages."""
    for number in in_use(data):
        start, kind = PAGE * number, kind_of(data, number)
        yield from (start + at for at in range(16) if at not in PADDING)
        if kind != OVERFLOW:
            lower, upper = struct.unpack_from("<HH", data, start + 12)
            yield from range(start + 16, start + lower)
            yield from (start + upper + at for at in range(8))  # one entry's head


def test_no_wrong_bit_goes_unnoticed_where_it_matters(data: bytes) -> None:
    """Every bit of each head, of each pointer, and of one entry's head in each page of a tree."""
    places = list(structure(data))
    leaves = [place for place in places if kind_of(data, place // PAGE) != OVERFLOW]
    heads = [place for place in places if kind_of(data, place // PAGE) == OVERFLOW][: 14 * 5]
    unnoticed = []
    for place in (*leaves[::7], *heads):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            try:
                check(bytes(damaged))
            except DamageError:
                continue
            unnoticed.append((place // PAGE, place % PAGE, bit))
    assert not unnoticed


@pytest.mark.parametrize("length", [0, 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE])
def test_a_file_cut_short_is_damaged(data: bytes, length: int) -> None:
    with pytest.raises(DamageError):
        check(data[:length])


def test_other_files_of_this_engine_are_read_as_well(tmp_path: Path) -> None:
    """One that is empty, and one with entries of its main tree and long keys."""
    for count in (0, 200):
        path = tmp_path / str(count)
        with lmdb.open(str(path), map_size=1 << 24, lib_version=0) as env, env.begin(write=True) as txn:
            for number in range(count):
                txn.put(bytes([number]) * 200, bytes(40 * number))
        read_metas(path / "data.mdb")
        assert check((path / "data.mdb").read_bytes()) == count
