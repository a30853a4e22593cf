"""The index: whatever is pointed to is found, by every worker, and no table is trusted that might not be the log's."""

import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.store import index as module
from broker.store.index import Index
from broker.store.index_table import Locations, Table, Tags, tags_of

STORE = b"s" * 16
EVER = 1 << 40
"""No table covers more blocks."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index"


def tags(numbers: Sequence[int]) -> Tags:
    return tags_of(b"".join(blake2b(str(number).encode(), digest_size=16).digest() for number in numbers))


def locations(numbers: Sequence[int]) -> Locations:
    return np.array(numbers, np.uint64)


def point(index: Index, numbers: Sequence[int], *, at: int = 1) -> None:
    """Points subjects to locations that tell who they are."""
    index.ensure(EVER)
    index.point(tags(numbers), locations([number + at for number in numbers]))


def find(index: Index, numbers: Sequence[int]) -> list[int]:
    found: list[int] = index.find(tags(numbers)).tolist()
    return found


def test_a_new_index_knows_nobody(path: Path) -> None:
    index = Index(path, store=STORE)
    assert find(index, range(100)) == [0] * 100
    assert (index.subjects, index.covered) == (0, 0)


def test_asking_about_nobody_gives_nothing(path: Path) -> None:
    assert Index(path, store=STORE).find(tags([])).tolist() == []


@pytest.mark.parametrize("at_once", [1, 7, 1_000, 60_000])
def test_all_are_found_however_they_came_and_however_it_grew(path: Path, at_once: int) -> None:
    index, count = Index(path, store=STORE), min(60_000, 2_000 * at_once)
    for start in range(0, count, at_once):
        point(index, range(start, min(count, start + at_once)))
    assert find(index, range(count)) == list(range(1, count + 1))
    assert find(index, range(count, 2 * count)) == [0] * count
    assert index.subjects == count


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([number.to_bytes(16, "little") for number in range(10_000)], id="little-endian"),
        pytest.param([number.to_bytes(16, "big") for number in range(10_000)], id="big-endian"),
        pytest.param([bytes([number]) * 16 for number in range(256)], id="repeated"),
        pytest.param([bytes(8) + number.to_bytes(8, "big") for number in range(1 << 60, (1 << 60) + 9_999)], id="high"),
    ],
)
def test_keys_that_are_no_hashes_do_as_well(path: Path, keys: list[bytes]) -> None:
    index = Index(path, store=STORE)
    those = tags_of(b"".join(keys))
    index.point(those, locations(range(1, len(keys) + 1)))
    assert index.find(those).tolist() == list(range(1, len(keys) + 1))
    assert index.size < 68 * 1024 + 64 * len(keys)


def test_no_tag_is_zero() -> None:
    """Zero is what stands in a slot nobody has used."""
    assert tags_of(bytes(16)).tolist() == [1]


def test_it_takes_little_room(path: Path) -> None:
    index = Index(path, store=STORE)
    for start in range(0, 100_000, 2_000):
        point(index, range(start, start + 2_000))
        slots = (index.size - 4096) // 16
        assert index.subjects <= 0.78 * slots
        assert slots == 4096 or index.subjects > 0.35 * slots


def test_a_subject_moves(path: Path) -> None:
    index = Index(path, store=STORE)
    point(index, range(100))
    point(index, range(50, 150), at=1_000)
    assert find(index, range(150)) == [*range(1, 51), *range(1_050, 1_150)]
    assert index.subjects == 150


def test_a_subject_is_forgotten_unless_it_has_moved_on(path: Path) -> None:
    index = Index(path, store=STORE)
    point(index, range(10))
    point(index, [3], at=100)
    index.clear(tags(range(5)), locations(range(1, 6)))
    assert find(index, range(10)) == [0, 0, 0, 103, 0, 6, 7, 8, 9, 10]
    assert index.subjects == 6


def test_room_is_used_again(path: Path) -> None:
    index = Index(path, store=STORE)
    for start in range(0, 200_000, 1_000):
        point(index, range(start, start + 1_000))
        index.clear(tags(range(start, start + 1_000)), locations(range(start + 1, start + 1_001)))
    assert index.subjects == 0
    assert index.size == Index(path.with_name("another"), store=STORE).size


def test_another_worker_sees_what_is_done(path: Path) -> None:
    one, other = Index(path, store=STORE), Index(path, store=STORE)
    for start in range(0, 30_000, 3_000):  # growing as it goes
        point(one if start // 3_000 % 2 else other, range(start, start + 3_000))
        one.ensure(EVER)
        one.cover(start)
        for index in (one, other):
            assert find(index, range(start + 6_000)) == [*range(1, start + 3_001), *([0] * 3_000)]
            index.ensure(EVER)
            assert (index.subjects, index.covered) == (start + 3_000, start)


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(4096 + 256 * 256))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-256])


def double(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


@pytest.mark.parametrize("spoil", [Path.unlink, write_nothing, write_noise, cut_short, double])
def test_a_file_that_is_no_index_is_begun_again(path: Path, spoil: object) -> None:
    point(Index(path, store=STORE), range(10))
    assert callable(spoil)
    spoil(path)
    index = Index(path, store=STORE)
    assert find(index, range(10)) == [0] * 10
    assert index.covered == 0


def test_another_stores_index_is_not_trusted(path: Path) -> None:
    point(Index(path, store=STORE), range(10))
    assert find(Index(path, store=b"t" * 16), range(10)) == [0] * 10


def test_an_index_from_before_the_machine_was_started_is_not_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point(Index(path, store=STORE), range(10))
    assert find(Index(path, store=STORE), range(10)) == list(range(1, 11))
    monkeypatch.setattr(module, "_boot", lambda: b"another")
    assert find(Index(path, store=STORE), range(10)) == [0] * 10


def test_growth_cut_off_half_way_is_begun_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    index = Index(path, store=STORE)
    point(index, range(3_000))
    with monkeypatch.context() as patched:
        patched.setattr(module, "publish", die)
        with pytest.raises(OSError, match="No space"):
            point(index, range(3_000, 6_000))
    assert find(Index(path, store=STORE), range(3_000)) == list(range(1, 3_001))
    point(index, range(3_000, 6_000))
    for each in (index, Index(path, store=STORE)):
        assert find(each, range(6_000)) == list(range(1, 6_001))
        assert each.subjects == 6_000


_NUMBERS = st.builds(lambda start, step: range(start, 9_000, step), st.integers(0, 8_999), st.integers(1, 9))
_ACTIONS = st.lists(st.tuples(st.sampled_from(["point", "clear"]), st.integers(0, 1), _NUMBERS), max_size=8)


@settings(max_examples=30, deadline=None)
@given(actions=_ACTIONS)
def test_any_sequence_of_changes_by_two_workers_reads_like_a_dictionary(
    actions: Sequence[tuple[str, int, range]],
) -> None:
    model: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers = [Index(Path(folder) / "index", store=STORE) for _ in range(2)]
        for at, (action, worker, numbers) in enumerate(actions, start=1):
            if action == "point":
                point(workers[worker], numbers, at=at)
                model |= {number: number + at for number in numbers}
            else:
                known = [number for number in numbers if number in model]
                workers[worker].ensure(EVER)
                workers[worker].clear(tags(known), locations([model.pop(number) for number in known]))
        for index in workers:
            assert find(index, range(9_001)) == [model.get(number, 0) for number in range(9_001)]
            assert index.subjects == len(model)


def test_a_reader_that_comes_upon_a_growing_table_leaves_the_writer_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step: one table is replaced, a reader maps its successor, which is replaced before the reader is done."""
    index = Index(path, store=STORE)
    point(index, range(3_000))
    old = index._table
    point(index, range(3_000, 6_000))
    between = index._own
    assert between is not old
    index._table = old  # the reader has not looked since

    map_table = Table.__init__

    def grow_meanwhile(self: Table, *arguments: object) -> None:
        map_table(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        point(index, range(6_000, 20_000))
        index._table = old

    monkeypatch.setattr(Table, "__init__", grow_meanwhile)
    assert set(find(index, range(6_000))) <= {0, *range(1, 6_001)}
    point(index, range(20_000, 20_010))
    assert find(index, range(20_010)) == list(range(1, 20_011))
    assert find(Index(path, store=STORE), range(20_010)) == list(range(1, 20_011))
