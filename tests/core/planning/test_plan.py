"""The plan of a batch: cases as a table, and everything against a reference that decides one inquiry at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning import plan as planning
from broker.core.planning.freshness import Freshness
from broker.core.planning.ownership import Ownership
from broker.core.planning.plan import Lines, Plan, plan
from broker.core.planning.selection import Choice, select
from broker.core.wire import encoding, record
from broker.core.wire.record import Entry
from broker.institutions.stub import stub_spec
from broker.model import Court, Kind, Level, Outcome, Source, SubjectType

NOW = 1000
BANKS = ("a", "b", "c")
SELECTION = select(
    [*(stub_spec(one) for one in BANKS), stub_spec("d-vehicles", kind=Kind.VEHICLE)],
    Court("最高法", Level.SUPREME, None),
)
PERSON = SELECTION.choices[SubjectType.RESIDENT_ID]
PLATE = SELECTION.choices[SubjectType.VEHICLE_PLATE]
ACCOUNT = SELECTION.choices[SubjectType.BANK_ACCOUNT]
IDS = [spec.id for spec in SELECTION.institutions]


def held(
    institution_id: str, *, outcome: Outcome = Outcome.NOT_FOUND, observed: int = 900, expires: int = 2000
) -> Entry:
    (segment,) = encoding.make_segments(institution_id, [encoding.content(outcome, observed_at=observed)], Source.CACHE)
    return Entry(record.institution_key(institution_id), outcome, observed, expires, segment)


def kept(*entries: Entry) -> bytes | None:
    return record.pack(entries) if entries else None


def planned(
    *lines: tuple[bytes | None, bytes | None, Choice | None],
    rows: dict[bytes, int] | None = None,
    oldest: int = 0,
) -> Plan:
    """The plan of lines given as (key, record, choice)."""
    keys, records, choices = zip(*lines, strict=True)
    return plan(Lines(keys, records, choices), {} if rows is None else rows, Freshness(NOW, oldest))


ALL = tuple(map(held, IDS))
HIT, MISS = "hit", "miss"


@pytest.mark.parametrize(
    ("entries", "choice", "oldest", "verdict", "asked"),
    [
        pytest.param(ALL, PERSON, 0, HIT, [], id="all wanted is held, nothing else"),
        pytest.param((), PERSON, 0, MISS, [0, 1, 2, 3], id="nothing is held"),
        pytest.param(ALL, ACCOUNT, 0, HIT, [], id="more is held than wanted"),
        pytest.param(ALL, PLATE, 0, HIT, [], id="one of many wanted"),
        pytest.param(ALL[:3], PERSON, 0, MISS, [3], id="less is held than wanted"),
        pytest.param((ALL[0], ALL[2]), ACCOUNT, 0, MISS, [1], id="a gap"),
        pytest.param((ALL[3],), ACCOUNT, 0, MISS, [0, 1, 2], id="only what is not wanted is held"),
        pytest.param((held("other"), *ALL), PERSON, 0, HIT, [], id="an institution gone since"),
        pytest.param((*ALL[:3], held(IDS[3], expires=NOW + 1)), PERSON, 0, HIT, [], id="expires in a second"),
        pytest.param((*ALL[:3], held(IDS[3], expires=NOW)), PERSON, 0, MISS, [3], id="expires now"),
        pytest.param((*ALL[:3], held(IDS[3], expires=NOW)), ACCOUNT, 0, HIT, [], id="what expired is not wanted"),
        pytest.param((*ALL[:3], held(IDS[3], observed=950)), PERSON, 950, MISS, [0, 1, 2], id="some are too old"),
        pytest.param(ALL, PERSON, 900, HIT, [], id="just young enough"),
        pytest.param(ALL, PERSON, 901, MISS, [0, 1, 2, 3], id="just too old"),
        pytest.param(ALL, PERSON, NOW + 1, MISS, [0, 1, 2, 3], id="ask anew"),
        pytest.param((*ALL[:3], held(IDS[3], observed=NOW)), PERSON, 0, HIT, [], id="observed now"),
        pytest.param((*ALL[:3], held(IDS[3], observed=NOW + 1)), PERSON, 0, MISS, [3], id="observed after now"),
        pytest.param((*ALL[:3], held(IDS[3], observed=NOW + 1)), ACCOUNT, 0, HIT, [], id="that is not wanted"),
        pytest.param((ALL[0], held(IDS[1], observed=NOW + 9)), PERSON, NOW + 1, MISS, [0, 1, 2, 3], id="not anew"),
    ],
)
def test_one_lookup(entries: Sequence[Entry], choice: Choice, oldest: int, verdict: str, asked: list[int]) -> None:
    result = planned((b"key", kept(*entries), choice), oldest=oldest)
    assert (result.hits == [0]) == (verdict == HIT)
    assert (result.misses == [0]) == (verdict == MISS)
    assert {column: places for column, places in result.asked.items() if places} == {column: [0] for column in asked}
    if verdict == HIT:
        expected = [one.segment for one in entries if one.institution in choice.institutions]
        assert result.bodies == [b"".join(expected)]
    else:
        (row,) = result.rows
        assert [column for column, cell in enumerate(row) if cell is None] == asked
        assert {cell for column, cell in enumerate(row) if column not in choice.columns} <= {b""}


def test_a_repeat_is_asked_once() -> None:
    result = planned((b"k", None, ACCOUNT), (b"l", None, ACCOUNT), (b"k", None, ACCOUNT))
    assert result.misses == [0, 1]
    assert result.repeats == [(0, 2)]
    assert result.asked == {0: [0, 1], 1: [0, 1], 2: [0, 1]}


def test_a_repeat_is_recognised_across_batches() -> None:
    rows: dict[bytes, int] = {}
    planned((b"k", None, ACCOUNT), (b"l", None, ACCOUNT), rows=rows)
    later = planned((b"m", None, ACCOUNT), (b"l", None, ACCOUNT), rows=rows)
    assert later.misses == [0]
    assert later.repeats == [(1, 1)]
    assert later.asked[0] == [0], "counted within the batch"
    assert rows == {b"k": 0, b"l": 1, b"m": 2}


def test_repeats_of_what_is_held_are_hits() -> None:
    record_ = kept(*ALL)
    assert planned((b"k", record_, PERSON), (b"k", record_, PERSON)).hits == [0, 1]


def test_a_repeat_of_a_partial_miss_counts_nothing_itself() -> None:
    partial = kept(held("a"))
    result = planned((b"k", partial, ACCOUNT), (b"k", partial, ACCOUNT))
    assert result.repeats == [(0, 1)]
    assert result.outcomes == {(0,): [bytes((Outcome.NOT_FOUND,))]}


def test_what_has_no_key_is_left_to_the_reader() -> None:
    result = planned((None, None, ACCOUNT), (None, kept(*ALL), PERSON), (b"k", None, ACCOUNT))
    assert result.misses == [2]
    assert result.hits == []
    assert result.repeats == []


def test_what_another_worker_owns_is_asked_there_and_has_no_row() -> None:
    mine, other = b"\0\0", b"\0\1"
    rows: dict[bytes, int] = {}
    lines = [(key, record_, ACCOUNT) for key in (mine, other) for record_ in (None, kept(held("a")), kept(*ALL))]
    keys, records, choices = zip(*lines, strict=True)
    result = plan(Lines(keys, records, choices), rows, Freshness(NOW, 0), ownership=Ownership(0, 2))
    assert result.hits == [2, 5], "whoever owns it: what is held is served"
    assert result.elsewhere == {1: [3, 4]}
    assert (result.misses, result.repeats, rows) == ([0], [(0, 1)], {mine: 0})
    assert result.outcomes.keys() == {(0, 1, 2)}, "what another worker will serve is not counted here"


# Against the reference.


@dataclass(slots=True)
class Verdicts:
    """What the reference says, per position."""

    bodies: dict[int, bytes] = field(default_factory=dict)
    rows: dict[int, list[bytes | None]] = field(default_factory=dict)
    repeats: list[tuple[int, int]] = field(default_factory=list)
    asked: set[tuple[int, int]] = field(default_factory=set)
    """(column, position)"""
    served: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(column, outcome)"""


@dataclass(frozen=True, slots=True)
class Line:
    """One lookup of the reference: with its entries spelt out."""

    key: bytes | None
    entries: tuple[Entry, ...]
    choice: Choice | None


def reference(lines: Sequence[Line], oldest: int) -> Verdicts:
    """One inquiry at a time, as one would say it."""
    verdicts = Verdicts()
    rows: dict[bytes, int] = {}
    for position, line in enumerate(lines):
        if line.key is None or line.choice is None:
            continue
        row: list[bytes | None] = []
        for column, institution_id in enumerate(IDS):
            servable = [
                one.segment
                for one in line.entries
                if one.institution == record.institution_key(institution_id)
                and one.expires > NOW
                and oldest <= one.observed <= NOW
            ]
            row.append(b"" if column not in line.choice.columns else servable[0] if servable else None)
        if None in row and line.key in rows:
            verdicts.repeats.append((rows[line.key], position))
            continue
        verdicts.served.update((column, encoding.outcome_of(cell)) for column, cell in enumerate(row) if cell)
        if None in row:
            rows[line.key] = len(rows)
            verdicts.rows[position] = row
            verdicts.asked.update((column, position) for column, cell in enumerate(row) if cell is None)
        else:
            verdicts.bodies[position] = b"".join(cell for cell in row if cell)
    return verdicts


entries = st.lists(st.sampled_from([*IDS, "gone"]), unique=True, max_size=5).flatmap(
    lambda ids: st.tuples(
        *(
            st.builds(
                held,
                st.just(one),
                outcome=st.sampled_from([Outcome.FOUND, Outcome.NOT_FOUND]),
                observed=st.sampled_from([880, 900, 950, NOW, NOW + 1]),
                expires=st.sampled_from([NOW, NOW + 1, 2000]),
            )
            for one in ids
        )
    )
)
whole = st.just(ALL)
held_by_key = st.fixed_dictionaries(dict.fromkeys((b"k", b"l", b"m"), whole | entries))


@given(
    held_by_key,
    st.lists(st.tuples(st.sampled_from([b"k", b"l", b"m", None]), st.sampled_from([PERSON, PLATE, ACCOUNT]))),
    st.sampled_from([0, 900, 901, NOW + 1]),
    st.integers(1, 4),
)
def test_the_plan_is_what_the_reference_says(
    store: dict[bytes, tuple[Entry, ...]],
    asked: list[tuple[bytes | None, Choice]],
    oldest: int,
    chunk: int,
) -> None:
    # One subject has one type: the first choice drawn for a key is its choice.
    choices: dict[bytes | None, Choice] = {}
    lines = [Line(key, store.get(key, ()) if key else (), choices.setdefault(key, choice)) for key, choice in asked]
    expected = reference(lines, oldest)

    got = Verdicts()
    rows: dict[bytes, int] = {}
    for start in range(0, len(lines), chunk):
        part = lines[start : start + chunk]
        result = planned(*((line.key, kept(*line.entries), line.choice) for line in part), rows=rows, oldest=oldest)
        got.bodies.update((start + place, body) for place, body in zip(result.hits, result.bodies, strict=True))
        got.rows.update((start + place, row) for place, row in zip(result.misses, result.rows, strict=True))
        got.repeats += [(row, start + place) for row, place in result.repeats]
        got.asked.update(
            (column, start + result.misses[at]) for column, places in result.asked.items() for at in places
        )
        for columns, outcomes in result.outcomes.items():
            block = b"".join(outcomes)
            for start_of_row in range(0, len(block), len(columns)):
                row = block[start_of_row : start_of_row + len(columns)]
                got.served.update(zip(columns, row, strict=True))
    assert got == expected


def test_a_hit_of_exactly_what_is_wanted_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_apart: list[bytes] = []

    def counting_unpack(packed: bytes) -> list[Entry]:
        taken_apart.append(packed)
        return record.unpack(packed)

    monkeypatch.setattr(planning, "unpack", counting_unpack)
    exact, more = kept(*ALL), kept(held("gone"), *ALL)
    planned(
        *[(b"%d" % number, exact, PERSON) for number in range(50)],
        *[(b"m%d" % number, None, PERSON) for number in range(50)],
    )
    assert taken_apart == []
    planned((b"k", more, PERSON))
    assert taken_apart == [more]
