"""Assembly: whatever the order answers come in, the reports are the same, and each is whole exactly once."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.core import wire
from broker.core.assembly import Assembly
from broker.core.plan import Row
from broker.core.tally import Tally
from broker.model import CONCLUSIVE, Outcome, Source

COLUMNS = 3


def segment(column: int, outcome: Outcome, source: Source = Source.INSTITUTION) -> bytes:
    (one,) = wire.seal(f"i{column}", [wire.content(outcome)], source)
    return one


def assembly_of(*rows: Row) -> tuple[Assembly, Tally]:
    """Rows answering the positions 0, 1, and so on."""
    tally = Tally(COLUMNS)
    assembly = Assembly(tally)
    assembly.add([list(row) for row in rows], range(len(rows)))
    return assembly, tally


def take(assembly: Assembly, column: int, rows: Sequence[int], outcome: Outcome = Outcome.NOT_FOUND) -> list[int]:
    """Lets a column say the same about several rows."""
    return assembly.take(
        column,
        rows,
        segments=[segment(column, outcome)] * len(rows),
        outcomes=bytes((outcome,)) * len(rows),
        source=Source.INSTITUTION,
    )


def test_a_row_is_whole_with_its_last_answer() -> None:
    assembly, _ = assembly_of([None, b"", None], [None, b"", b""])
    assert take(assembly, 0, [0, 1]) == [1]
    assert assembly.open_rows == 1
    assert assembly.awaiting() == {2: [0]}
    assert take(assembly, 2, [0]) == [0]
    assert assembly.open_rows == 0
    assert assembly.awaiting() == {}


def test_the_body_is_in_order_of_columns_however_they_came() -> None:
    assembly, _ = assembly_of([None, None, None])
    for column in (2, 0, 1):
        take(assembly, column, [0])
    assert assembly.body(0) == b"".join(segment(column, Outcome.NOT_FOUND) for column in range(COLUMNS))


def test_the_body_so_far_is_what_is_known() -> None:
    known = segment(1, Outcome.FOUND, Source.CACHE)
    assembly, _ = assembly_of([None, known, None])
    assert assembly.body(0) == known


def test_a_late_answer_changes_nothing() -> None:
    assembly, tally = assembly_of([None, b"", b""])
    take(assembly, 0, [0], Outcome.TIMED_OUT)
    before = (assembly.body(0), assembly.open_rows, tally.counts.tolist(), assembly.complete(0))
    assert take(assembly, 0, [0], Outcome.FOUND) == []
    assert (assembly.body(0), assembly.open_rows, tally.counts.tolist(), assembly.complete(0)) == before


def test_what_is_forgotten_takes_no_room_and_no_late_answer() -> None:
    assembly, tally = assembly_of([None, b"", None], [None, b"", b""])
    take(assembly, 0, [0, 1])
    assembly.forget([1])
    assert assembly.body(1) == b""
    before = tally.counts.tolist()
    assert take(assembly, 0, [1], Outcome.FOUND) == []
    assert tally.counts.tolist() == before
    assert assembly.awaiting() == {2: [0]}


def test_a_late_inconclusive_answer_does_not_spoil_a_complete_row() -> None:
    assembly, _ = assembly_of([None, b"", b""])
    take(assembly, 0, [0], Outcome.FOUND)
    take(assembly, 0, [0], Outcome.UNAVAILABLE)
    assert assembly.complete(0)
    assert assembly.all_complete


def test_one_inconclusive_answer_makes_a_row_incomplete() -> None:
    for outcome in Outcome:
        assembly, _ = assembly_of([None, None, b""], [None, b"", b""])
        take(assembly, 0, [0], outcome)
        take(assembly, 0, [1])
        take(assembly, 1, [0])
        assert assembly.complete(0) == assembly.all_complete == (outcome in CONCLUSIVE)
        assert assembly.complete(1)


def test_a_repeat_of_a_whole_row_can_be_reported_at_once() -> None:
    assembly, tally = assembly_of([None, b"", b""])
    take(assembly, 0, [0])
    assert assembly.repeat(0, 7)
    assert assembly.positions(0) == [0, 7]
    assert tally.by_outcome() == {Outcome.NOT_FOUND: 2}


def test_rows_are_answered_at_all_their_positions() -> None:
    assembly, _ = assembly_of([None, b"", b""], [None, b"", b""], [None, b"", b""])
    assert assembly.answered([2, 0]) == ([2, 0], [2, 0])
    assembly.repeat(0, 7)
    assembly.repeat(1, 8)
    assert assembly.answered([2, 0]) == ([2, 0, 0], [2, 0, 7])
    assert assembly.answered([]) == ([], [])


def test_late_answers_among_others_are_not_counted() -> None:
    assembly, tally = assembly_of([None, b"", b""], [None, b"", b""])
    assembly.repeat(0, 7)
    take(assembly, 0, [1])
    take(assembly, 0, [0, 1], Outcome.FOUND)
    assert tally.by_outcome() == {Outcome.NOT_FOUND: 1, Outcome.FOUND: 2}


def test_a_repeat_counts_what_is_known_and_what_comes() -> None:
    assembly, tally = assembly_of([None, segment(1, Outcome.FOUND, Source.CACHE), b""])
    tally.add(1, bytes((Outcome.FOUND,)), Source.CACHE)  # as the plan does for what the cache served
    assert not assembly.repeat(0, 1)
    take(assembly, 0, [0])
    assert tally.by_outcome() == {Outcome.FOUND: 2, Outcome.NOT_FOUND: 2}
    assert tally.by_source() == {Source.CACHE: 2, Source.INSTITUTION: 2}


class CountedRow(list[bytes | None]):
    """A row that counts how often it is looked into."""

    looked_at = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        CountedRow.looked_at += 1
        return super().__getitem__(index)


def test_work_is_proportional_to_what_came_in() -> None:
    tally = Tally(COLUMNS)
    assembly = Assembly(tally)
    assembly.add([CountedRow([None, None, None]) for _ in range(1000)], range(1000))
    CountedRow.looked_at = 0
    take(assembly, 0, [5, 6])
    assert CountedRow.looked_at == 2


# Any order, any grouping, any moment for the repeats.

cells = st.sampled_from([*Outcome, None])
tables = st.lists(st.lists(cells, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=5)
"""What every column will say about every row; None: it is not asked."""


@given(tables, st.data())
def test_any_order_of_deliveries_gives_the_same_reports(table: list[list[Outcome | None]], data: st.DataObject) -> None:
    blank: list[Row] = [[b"" if cell is None else None for cell in row] for row in table]
    answers = [
        (column, number, one) for number, row in enumerate(table) for column, one in enumerate(row) if one is not None
    ]
    repeated = data.draw(
        st.lists(st.sampled_from([n for n, row in enumerate(blank) if None in row] or [0]), max_size=3)
    )
    late = data.draw(st.lists(st.sampled_from(answers), max_size=3)) if answers else []
    events: list[tuple[int, int, Outcome] | int] = [*answers, *repeated]

    assembly, tally = assembly_of(*blank)
    made_whole: list[int] = []
    for event in [*data.draw(st.permutations(events)), *late]:
        if isinstance(event, int):
            at_once = assembly.repeat(event, position=99)
            assert at_once == (event in made_whole or None not in blank[event])
        else:
            column, number, outcome = event
            made_whole += take(assembly, column, [number], outcome)

    assert sorted(made_whole) == [number for number, row in enumerate(blank) if None in row]
    assert assembly.awaiting() == {}
    counted = Counter[Outcome]()
    for number, cells in enumerate(table):
        said = [(column, one) for column, one in enumerate(cells) if one is not None]
        assert assembly.body(number) == b"".join(segment(column, one) for column, one in said)
        assert assembly.complete(number) == all(one in CONCLUSIVE for _, one in said)
        assert assembly.positions(number) == [number] + [99] * repeated.count(number)
        for _, one in said:
            counted[one] += len(assembly.positions(number))
    assert tally.by_outcome() == counted


@given(tables, st.data())
def test_deliveries_in_groups_are_deliveries_one_by_one(table: list[list[Outcome | None]], data: st.DataObject) -> None:
    blank: list[Row] = [[b"" if cell is None else None for cell in row] for row in table]
    grouped, grouped_tally = assembly_of(*blank)
    single, single_tally = assembly_of(*blank)
    for column in data.draw(st.permutations(range(COLUMNS))):
        said = [(number, one) for number, row in enumerate(table) if (one := row[column]) is not None]
        whole = grouped.take(
            column,
            [number for number, _ in said],
            segments=[segment(column, one) for _, one in said],
            outcomes=bytes(one for _, one in said),
            source=Source.INSTITUTION,
        )
        assert whole == [made for number, one in said for made in take(single, column, [number], one)]
    assert grouped_tally.counts.tolist() == single_tally.counts.tolist()
    assert [grouped.body(n) for n in range(len(table))] == [single.body(n) for n in range(len(table))]
    assert [grouped.complete(n) for n in range(len(table))] == [single.complete(n) for n in range(len(table))]
