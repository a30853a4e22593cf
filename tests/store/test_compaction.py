"""The compaction of the log: its rules as tables, and a model of a log that is written to for a long time."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.store import compaction as module
from broker.store.compaction import CompactionSchedule, extent_of, half_expired, judge, numbers_in

SIZE = 1024  # blocks of an extent
NOW = 1_000
NEVER = 2**63 - 1


def numbers(*values: int) -> module.Numbers:
    return np.array(values, np.int64)


# What is deleted.

REPLACED, EXPIRED, EXPIRES_NOW, FRESH = (False, NOW + 9), (True, NOW - 1), (True, NOW), (True, NOW + 1)


@pytest.mark.parametrize(
    ("blocks", "dead"),
    [
        pytest.param({}, [], id="nothing was examined"),
        pytest.param({7: [FRESH]}, [], id="a needed record"),
        pytest.param({7: [EXPIRED]}, [7], id="an expired one"),
        pytest.param({7: [EXPIRES_NOW]}, [7], id="one that expires at this second"),
        pytest.param({7: [REPLACED]}, [7], id="one that was replaced"),
        pytest.param({7: [EXPIRED, REPLACED]}, [7], id="some of each"),
        pytest.param({7: [EXPIRED, REPLACED, FRESH]}, [], id="one needed among them"),
        pytest.param({7: [FRESH], 8: [EXPIRED], 9: [FRESH]}, [8], id="a block between others"),
        pytest.param({7: []}, [7], id="a block that tells nothing"),
        pytest.param({7: [EXPIRED], 20: [EXPIRED]}, [7], id="the last block"),
        pytest.param({20: [REPLACED]}, [], id="the last block, replaced"),
    ],
)
def test_what_is_deleted(blocks: dict[int, list[tuple[bool, int]]], dead: list[int]) -> None:
    block_of, live, expires = columns(blocks)
    verdict = judge(numbers(*blocks), block_of, expires, live, now=NOW, last=20)
    assert verdict.dead.tolist() == dead
    assert verdict.expired.tolist() == [is_live and at <= NOW for held in blocks.values() for is_live, at in held]
    assert verdict.needed.tolist() == [is_live and at > NOW for held in blocks.values() for is_live, at in held]


def columns(blocks: dict[int, list[tuple[bool, int]]]) -> tuple[module.Numbers, np.ndarray, module.Numbers]:
    """Of each record: the number of its block, whether the index points to it, when it expires."""
    records = [(number, *record) for number, held in blocks.items() for record in held]
    return (
        numbers(*[number for number, _, _ in records]),
        np.array([live for _, live, _ in records], bool),
        numbers(*[expires for _, _, expires in records]),
    )


# When an extent is due.


@pytest.mark.parametrize(
    ("blocks", "due"),
    [
        pytest.param({}, NEVER, id="nothing is needed: there are no blocks left"),
        pytest.param({1: [50]}, 50, id="one block"),
        pytest.param({1: [50, 70, 60]}, 70, id="a block expires with its last record"),
        pytest.param({1: [50], 2: [70]}, 50, id="half of two"),
        pytest.param({1: [70], 2: [50], 3: [60]}, 60, id="half of three"),
        pytest.param({4: [9, 40], 3: [30], 2: [20, 1], 1: [10]}, 20, id="half of four"),
    ],
)
def test_when_half_of_the_blocks_have_expired(blocks: dict[int, list[int]], due: int) -> None:
    records = [(number, expires) for number, held in blocks.items() for expires in held]
    assert half_expired(numbers(*[n for n, _ in records]), numbers(*[e for _, e in records])) == due


def schedule_of(*extents: int, expires: int = NOW + 100, last: int = 10 * SIZE) -> CompactionSchedule:
    """A schedule after a step that has examined these extents: four needed records in each."""
    schedule = CompactionSchedule()
    block_of = [extent * SIZE + at for extent in extents for at in range(4)]
    schedule.note_step(extents, numbers(*block_of), numbers(*[expires] * len(block_of)), last)
    return schedule


def due(schedule: CompactionSchedule, first: int = 0, last: int = 3, now: int = NOW) -> list[int]:
    """The extents that are due in a log of the extents from `first` to `last`."""
    return list(schedule.due(first * SIZE, last * SIZE + 5, now))


@pytest.mark.parametrize(
    ("examined", "first", "now", "extents"),
    [
        pytest.param((), 0, NOW, [0, 1, 2, 3], id="a new schedule: all"),
        pytest.param((0,), 0, NOW, [1, 2, 3], id="not what was just examined"),
        pytest.param((0, 1), 0, NOW, [2, 3], id="from the one after the last"),
        pytest.param((0, 1), 0, NOW + 99, [2, 3], id="a second before it is due"),
        pytest.param((0, 1), 0, NOW + 100, [2, 3, 0, 1], id="when it is due, after the others"),
        pytest.param((0, 1, 2, 3), 0, NOW, [3], id="the newest is always due"),
        pytest.param((3,), 0, NOW, [0, 1, 2, 3], id="after the newest, from the oldest"),
        pytest.param((0, 1), 2, NOW, [2, 3], id="the oldest ones are gone"),
        pytest.param((5,), 0, NOW, [0, 1, 2, 3], id="the log is a new one, and shorter"),
    ],
)
def test_which_extents_are_due(examined: Sequence[int], first: int, now: int, extents: list[int]) -> None:
    schedule = schedule_of(*examined, last=3 * SIZE)
    assert due(schedule, first=first, now=now) == extents


def test_a_extent_without_blocks_is_never_due_again() -> None:
    schedule = CompactionSchedule()
    schedule.note_step([0, 1], numbers(), numbers(), 3 * SIZE)
    assert due(schedule, now=2**32) == [2, 3]


@pytest.mark.parametrize(("replaced", "extents"), [([0], [3]), ([0, 1], [0, 3]), ([0, 0], [0, 3]), ([9_000], [3])])
def test_a_extent_is_due_as_soon_as_half_of_what_was_needed_is_replaced(
    replaced: list[int], extents: list[int]
) -> None:
    schedule = schedule_of(0, 1, 2)
    schedule.note_replaced(numbers(*replaced))
    assert sorted(due(schedule)) == extents


def test_replacements_add_up_until_the_extent_is_examined_again() -> None:
    schedule = schedule_of(0, 1, 2)
    schedule.note_replaced(numbers(1))
    schedule.note_step([0], numbers(0, 1, 2, 3), numbers(*[NOW + 100] * 4), 3 * SIZE)
    schedule.note_replaced(numbers(1))
    assert due(schedule) == [1 + 1 + 1]
    schedule.note_replaced(numbers(2))
    assert sorted(due(schedule)) == [0, 3]


def test_a_step_examines_three_records_for_each_one_appended_since_the_step_before() -> None:
    schedule = CompactionSchedule()
    assert schedule.quota == 5_000
    schedule.note_appended(1_000)
    assert schedule.quota == 5_000
    schedule.note_appended(1_000)
    assert schedule.quota == 6_000
    schedule.note_step([0], numbers(), numbers(), 0)
    assert schedule.quota == 5_000


def test_what_is_known_of_extents_that_are_gone_is_forgotten() -> None:
    schedule = schedule_of(*range(9))
    due(schedule, first=7, last=9)
    assert set(schedule._due) == set(schedule._replaceable) == {7, 8}


def test_a_block_belongs_to_one_extent() -> None:
    assert [extent_of(number) for number in (0, 1023, 1024, 2**40 - 1)] == [0, 0, 1, 2**30 - 1]
    assert all(extent_of(number) == 5 for number in (numbers_in(5)[0], numbers_in(5)[-1]))
    assert numbers_in(6).start == numbers_in(5).stop


# A log that is written to.

PER_BLOCK = 3
TTL = 40


class ModelLog:
    """A log in dictionaries: one subject's record is replaced by its next one, and all expire."""

    def __init__(self, ttl: int = TTL) -> None:
        self.schedule = CompactionSchedule()
        self.blocks: dict[int, list[tuple[int, int]]] = {}
        """By number: subject and expiry of each record."""
        self.index: dict[int, int] = {}
        """By subject: the number of its block."""
        self.last = 0
        self.now = NOW
        self.ttl = ttl

    def append(self, subjects: Sequence[int]) -> None:
        """One commit."""
        subjects = list(dict.fromkeys(subjects))
        self.schedule.note_replaced(numbers(*[self.index[one] for one in subjects if one in self.index]))
        waiting = iter(subjects)
        while part := list(islice(waiting, PER_BLOCK)):
            self.last += 1
            self.blocks[self.last] = [(subject, self.now + self.ttl) for subject in part]
            self.index.update(dict.fromkeys(part, self.last))
        self.schedule.note_appended(len(subjects))

    def compact(self) -> list[int]:
        """One step. Returns how many records each extent had that it has examined."""
        if not self.blocks:
            return []
        extents, examined, sizes = [], [], []
        for extent in self.schedule.due(min(self.blocks), self.last, self.now):
            held = [number for number in numbers_in(extent) if number in self.blocks]
            extents.append(extent)
            examined += held
            sizes.append(sum(len(self.blocks[number]) for number in held))
            if sum(sizes) >= self.schedule.quota:
                break
        records = [(number, *record) for number in examined for record in self.blocks[number]]
        block_of, expires = numbers(*[n for n, _, _ in records]), numbers(*[e for _, _, e in records])
        live = np.array([self.index.get(subject) == number for number, subject, _ in records], bool)
        needed = self.needed()
        verdict = judge(numbers(*examined), block_of, expires, live, now=self.now, last=self.last)
        assert needed.isdisjoint(verdict.dead.tolist()), "a block with a needed record was deleted"
        assert self.last not in verdict.dead
        for (_, subject, _), is_expired in zip(records, verdict.expired, strict=True):
            if is_expired:
                del self.index[subject]
        for number in verdict.dead.tolist():
            del self.blocks[number]
        mask = verdict.needed
        self.schedule.note_step(extents, block_of[mask], expires[mask], self.last)
        return sizes

    def needed(self) -> set[int]:
        """The blocks that hold a record which may still be read."""
        return {
            number
            for number, held in self.blocks.items()
            if any(self.index.get(subject) == number and expires > self.now for subject, expires in held)
        }


@pytest.fixture(autouse=True)
def constants(request: pytest.FixtureRequest) -> Iterator[None]:
    """Extents of four blocks where a log is modelled, so that there are many of them."""
    with pytest.MonkeyPatch.context() as patched:
        if "model" in request.node.name:
            patched.setattr(module, "_EXTENT", 2)
            patched.setattr(module, "_MIN_RECORDS", 6)
        yield


commits = st.tuples(st.just("append"), st.lists(st.integers(0, 30), min_size=1, max_size=20))
pauses = st.tuples(st.just("pass"), st.integers(1, 2 * TTL))
steps = st.tuples(st.just("compact"), st.just(0))


@settings(deadline=None)
@given(st.lists(commits | pauses | steps, max_size=60))
def test_in_a_model_nothing_needed_is_deleted_and_all_else_is_in_the_end(
    operations: list[tuple[str, int | list[int]]],
) -> None:
    log = ModelLog()
    for what, value in operations:
        if isinstance(value, list):
            log.append(value)
        elif what == "pass":
            log.now += value
        else:
            quota = log.schedule.quota
            assert sum(log.compact()[:-1]) < quota, "a step ends once it has examined enough"
    needed = log.needed()
    for _ in range(4 + len(log.blocks)):
        log.compact()
    assert needed <= set(log.blocks), "while time stands still, what is needed stays"
    log.now += TTL
    for _ in range(4 + 2 * len(log.blocks)):
        log.compact()
    assert set(log.blocks) == ({log.last} if log.last else set())
    assert not log.index or set(log.index.values()) <= {log.last}


@pytest.mark.parametrize(
    ("subjects", "ttl", "most"),
    [
        pytest.param(10**6, TTL, 1.7, id="new subjects, which expire"),
        pytest.param(300, 10**6, 2.0, id="the same subjects again and again, which are replaced"),
        pytest.param(300, TTL, 2.0, id="both"),
    ],
)
def test_in_a_model_the_log_stays_within_a_multiple_of_what_is_needed(subjects: int, ttl: int, most: float) -> None:
    log = ModelLog(ttl)
    ratios = []
    for tick in range(600):
        log.append([(12 * tick + at) * 7919 % subjects for at in range(12)])
        log.compact()
        log.now += 1
        if tick > 300:
            ratios.append(len(log.blocks) / len(log.needed()))
    assert max(ratios) <= most


def test_in_a_model_extents_in_which_nothing_can_have_expired_are_not_read() -> None:
    log = ModelLog(ttl=10_000)
    for tick in range(100):
        log.append(range(100 * tick, 100 * tick + 12))
        log.compact()
    log.compact()
    assert [len(log.compact()) for _ in range(20)] == [1] * 20, "the newest alone"
