"""A key is replaced while workers share the store: whatever the order of the rings, all read what any has written."""

from pathlib import Path

from broker.store.key_mark import take_up
from broker.store.lmdb_store import LmdbStore
from tests.store.test_lmdb_store import MIB, Clock, numbered, opened, set_aside, statements

OLD, NEW = bytes([1] * 32), bytes([2] * 32)


def reads(store: LmdbStore, keys: list[bytes]) -> bool:
    return None not in store.get_many(keys)


def write(store: LmdbStore, keys: list[bytes]) -> None:
    store.put_many(statements(keys))
    assert store.flush()


def test_a_key_is_replaced_step_by_step_and_nothing_is_lost(tmp_path: Path) -> None:
    path, clock = tmp_path / "cache", Clock()
    first, second, third = (list(numbered(range(at, at + 50))) for at in (0, 50, 100))
    with opened(path, clock, master_keys=(OLD,)) as store:
        write(store, first)
    with opened(path, clock, master_keys=(OLD, NEW)) as store:
        assert reads(store, first)
        write(store, second)
        assert store.statistics().older_key_reads == 0
    with opened(path, clock, master_keys=(NEW, OLD)) as store:
        assert reads(store, [*first, *second])
        assert store.statistics().older_key_reads == 100
        write(store, third)
    with opened(path, clock, master_keys=(NEW,)) as store:
        assert store.get_many([*first, *second]) == [None] * 100, "what the old key has sealed is gone with it"
        assert reads(store, third)
    assert not set_aside(path)


def test_two_workers_whose_rings_change_one_after_the_other_read_each_other(tmp_path: Path) -> None:
    path, clock = tmp_path / "cache", Clock()
    before, after, late = (list(numbered(range(at, at + 30))) for at in (0, 30, 60))
    rings = {"old": (OLD, NEW), "new": (NEW, OLD)}
    # Two processes in truth; LMDB allows a file once in a process, so each opens it in turn.
    for ring, keys in (("old", before), ("new", after), ("old", late)):
        with opened(path, clock, master_keys=rings[ring]) as store:
            write(store, keys)
    for keys_of_one in rings.values():
        with opened(path, clock, master_keys=keys_of_one) as store:
            assert reads(store, [*before, *after, *late])
            assert store.statistics().damaged == 0
    assert not set_aside(path)


def test_a_record_that_is_renewed_is_sealed_with_the_present_key(tmp_path: Path) -> None:
    path, clock = tmp_path / "cache", Clock()
    keys = list(numbered(range(20)))
    with opened(path, clock, master_keys=(OLD,)) as store:
        write(store, keys)
    clock.now += 10
    with opened(path, clock, master_keys=(NEW, OLD)) as store:
        write(store, keys)
    with opened(path, clock, master_keys=(NEW,)) as store:
        assert reads(store, keys)


def test_a_store_set_aside_is_taken_up_by_any_of_its_keys(tmp_path: Path) -> None:
    path, clock = tmp_path / "cache", Clock()
    keys = list(numbered(range(3)))
    with opened(path, clock, master_keys=(OLD,)) as store:
        write(store, keys)
    with opened(path, clock, master_keys=(bytes(32),)):
        pass
    assert take_up(path, (NEW, OLD))
    with opened(path, clock, master_keys=(NEW, OLD)) as store:
        assert reads(store, keys)


def test_an_unreadable_record_is_tried_with_every_key_and_is_a_miss(tmp_path: Path) -> None:
    path, clock = tmp_path / "cache", Clock()
    keys = list(numbered(range(3)))
    with opened(path, clock, master_keys=(OLD,), map_size=MIB * 4) as store:
        write(store, keys)
    with opened(path, clock, master_keys=(NEW, OLD)):
        pass
    with opened(path, clock, master_keys=(NEW, bytes(32)), map_size=MIB * 4) as store:
        assert store.get_many(keys) == [None] * 3
        assert store.statistics().damaged == 3
