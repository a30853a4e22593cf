"""AnswerTable: whatever the order answers come in, the reports are the same, and each is whole exactly once."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.merge import AnswerTable
from broker.core.planning.plan import Row
from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NoTranscript
from broker.core.wire import encoding
from broker.model import CONCLUSIVE, Outcome, Source

COLUMNS = 3


def segment(column: int, outcome: Outcome, source: Source = Source.INSTITUTION) -> bytes:
    (one,) = encoding.make_segments(f"i{column}", [encoding.content(outcome)], source)
    return one


def assembly_of(*rows: Row) -> tuple[AnswerTable, Tally]:
    """Rows answering the positions 0, 1, and so on."""
    tally = Tally(COLUMNS)
    table = AnswerTable(tally)
    table.add([list(row) for row in rows], range(len(rows)))
    return table, tally


class Noted(NoTranscript):
    """A transcript that keeps position and outcome of each answer."""

    wanted = True

    def __init__(self) -> None:
        self.answers: list[tuple[int, int, int]] = []

    def answered(self, column: int, positions: Sequence[int], *, outcomes: bytes, **_: object) -> None:
        self.answers += [(each, column, outcome) for each, outcome in zip(positions, outcomes, strict=True)]

    def closed(self, columns: Sequence[int], position: int, *, outcome: Outcome, **_: object) -> None:
        self.answers += [(position, column, outcome) for column in columns]


def test_each_position_that_a_row_answers_is_noted_as_often_as_it_is_counted() -> None:
    tally, transcript = Tally(COLUMNS), Noted()
    table = AnswerTable(tally, transcript)
    table.add([[None, b"", None], [None, None, None]], range(2))
    table.repeat(1, position=7)
    take(table, 0, [0, 1])
    table.repeat(1, position=8)
    take(table, 0, [1], Outcome.FOUND)  # too late
    late = [segment(column, Outcome.TIMED_OUT, Source.BROKER) for column in range(COLUMNS)]
    for row in range(2):
        table.close(row, late, outcome=Outcome.TIMED_OUT, source=Source.BROKER)
    told = [(position, 0, Outcome.NOT_FOUND) for position in (0, 1, 7, 8)]
    told += [(0, 2, Outcome.TIMED_OUT)]
    told += [(position, column, Outcome.TIMED_OUT) for position in (1, 7, 8) for column in (1, 2)]
    assert sorted(transcript.answers) == sorted(told)
    assert tally.by_outcome() == Counter(Outcome(outcome) for _, _, outcome in told)


def take(table: AnswerTable, column: int, rows: Sequence[int], outcome: Outcome = Outcome.NOT_FOUND) -> list[int]:
    """Lets a column say the same about several rows."""
    return table.take(
        column,
        rows,
        segments=[segment(column, outcome)] * len(rows),
        outcomes=bytes((outcome,)) * len(rows),
        source=Source.INSTITUTION,
    )


def test_a_row_is_whole_with_its_last_answer() -> None:
    table, _ = assembly_of([None, b"", None], [None, b"", b""])
    assert take(table, 0, [0, 1]) == [1]
    assert table.open_rows == 1
    assert table.unfinished() == [0]
    assert take(table, 2, [0]) == [0]
    assert table.open_rows == 0
    assert table.unfinished() == []
    assert not table.close(0, [b"late"] * COLUMNS, outcome=Outcome.TIMED_OUT, source=Source.BROKER)


def test_what_a_row_still_awaits_is_closed_at_once() -> None:
    table, tally = assembly_of([None, b"", None], [None, None, None])
    take(table, 0, [0, 1])
    table.repeat(1, position=7)
    late = [segment(column, Outcome.TIMED_OUT, Source.BROKER) for column in range(COLUMNS)]
    assert table.close(0, late, outcome=Outcome.TIMED_OUT, source=Source.BROKER) == [2]
    assert table.close(1, late, outcome=Outcome.TIMED_OUT, source=Source.BROKER) == [1, 2]
    assert table.open_rows == 0
    assert table.body(1) == segment(0, Outcome.NOT_FOUND) + late[1] + late[2]
    assert not table.complete(0)
    assert tally.by_outcome() == {Outcome.NOT_FOUND: 3, Outcome.TIMED_OUT: 5}, "once for each position"
    assert take(table, 2, [0]) == [], "too late"


def test_the_body_is_in_order_of_columns_however_they_came() -> None:
    table, _ = assembly_of([None, None, None])
    for column in (2, 0, 1):
        take(table, column, [0])
    assert table.body(0) == b"".join(segment(column, Outcome.NOT_FOUND) for column in range(COLUMNS))


def test_the_body_so_far_is_what_is_known() -> None:
    known = segment(1, Outcome.FOUND, Source.CACHE)
    table, _ = assembly_of([None, known, None])
    assert table.body(0) == known


def test_a_late_answer_changes_nothing() -> None:
    table, tally = assembly_of([None, b"", b""])
    take(table, 0, [0], Outcome.TIMED_OUT)
    before = (table.body(0), table.open_rows, tally.counts.tolist(), table.complete(0))
    assert take(table, 0, [0], Outcome.FOUND) == []
    assert (table.body(0), table.open_rows, tally.counts.tolist(), table.complete(0)) == before


def test_what_is_forgotten_takes_no_room_and_no_late_answer() -> None:
    table, tally = assembly_of([None, b"", None], [None, b"", b""])
    take(table, 0, [0, 1])
    table.forget([1])
    assert table.body(1) == b""
    before = tally.counts.tolist()
    assert take(table, 0, [1], Outcome.FOUND) == []
    assert tally.counts.tolist() == before
    assert table.unfinished() == [0]


def test_a_late_inconclusive_answer_does_not_spoil_a_complete_row() -> None:
    table, _ = assembly_of([None, b"", b""])
    take(table, 0, [0], Outcome.FOUND)
    take(table, 0, [0], Outcome.UNAVAILABLE)
    assert table.complete(0)
    assert table.all_complete


def test_one_inconclusive_answer_makes_a_row_incomplete() -> None:
    for outcome in Outcome:
        table, _ = assembly_of([None, None, b""], [None, b"", b""])
        take(table, 0, [0], outcome)
        take(table, 0, [1])
        take(table, 1, [0])
        assert table.complete(0) == table.all_complete == (outcome in CONCLUSIVE)
        assert table.complete(1)


def test_a_repeat_of_a_whole_row_can_be_reported_at_once() -> None:
    table, tally = assembly_of([None, b"", b""])
    take(table, 0, [0])
    assert table.repeat(0, 7)
    assert table.positions(0) == [0, 7]
    assert tally.by_outcome() == {Outcome.NOT_FOUND: 2}


def test_rows_are_answered_at_all_their_positions() -> None:
    table, _ = assembly_of([None, b"", b""], [None, b"", b""], [None, b"", b""])
    assert table.answered([2, 0]) == ([2, 0], [2, 0])
    table.repeat(0, 7)
    table.repeat(1, 8)
    assert table.answered([2, 0]) == ([2, 0, 0], [2, 0, 7])
    assert table.answered([]) == ([], [])


def test_late_answers_among_others_are_not_counted() -> None:
    table, tally = assembly_of([None, b"", b""], [None, b"", b""])
    table.repeat(0, 7)
    take(table, 0, [1])
    take(table, 0, [0, 1], Outcome.FOUND)
    assert tally.by_outcome() == {Outcome.NOT_FOUND: 1, Outcome.FOUND: 2}


def test_a_repeat_counts_what_is_known_and_what_comes() -> None:
    table, tally = assembly_of([None, segment(1, Outcome.FOUND, Source.CACHE), b""])
    tally.add(1, bytes((Outcome.FOUND,)), Source.CACHE)  # as the plan does for what the cache served
    assert not table.repeat(0, 1)
    take(table, 0, [0])
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
    table = AnswerTable(tally)
    table.add([CountedRow([None, None, None]) for _ in range(1000)], range(1000))
    CountedRow.looked_at = 0
    take(table, 0, [5, 6])
    assert CountedRow.looked_at == 2


# Any order, any grouping, any moment for the repeats.

cells = st.sampled_from([*Outcome, None])
tables = st.lists(st.lists(cells, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=5)
"""What every column will say about every row; None: it is not asked."""


@given(tables, st.data())
def test_any_order_of_deliveries_gives_the_same_reports(
    cells_by_row: list[list[Outcome | None]], data: st.DataObject
) -> None:
    blank: list[Row] = [[b"" if cell is None else None for cell in row] for row in cells_by_row]
    answers = [
        (column, number, one)
        for number, row in enumerate(cells_by_row)
        for column, one in enumerate(row)
        if one is not None
    ]
    repeated = data.draw(
        st.lists(st.sampled_from([n for n, row in enumerate(blank) if None in row] or [0]), max_size=3)
    )
    late = data.draw(st.lists(st.sampled_from(answers), max_size=3)) if answers else []
    events: list[tuple[int, int, Outcome] | int] = [*answers, *repeated]

    table, tally = assembly_of(*blank)
    made_whole: list[int] = []
    for event in [*data.draw(st.permutations(events)), *late]:
        if isinstance(event, int):
            at_once = table.repeat(event, position=99)
            assert at_once == (event in made_whole or None not in blank[event])
        else:
            column, number, outcome = event
            made_whole += take(table, column, [number], outcome)

    assert sorted(made_whole) == [number for number, row in enumerate(blank) if None in row]
    assert table.unfinished() == []
    counted = Counter[Outcome]()
    for number, cells in enumerate(cells_by_row):
        said = [(column, one) for column, one in enumerate(cells) if one is not None]
        assert table.body(number) == b"".join(segment(column, one) for column, one in said)
        assert table.complete(number) == all(one in CONCLUSIVE for _, one in said)
        assert table.positions(number) == [number] + [99] * repeated.count(number)
        for _, one in said:
            counted[one] += len(table.positions(number))
    assert tally.by_outcome() == counted


@given(tables, st.data())
def test_deliveries_in_groups_are_deliveries_one_by_one(
    cells_by_row: list[list[Outcome | None]], data: st.DataObject
) -> None:
    blank: list[Row] = [[b"" if cell is None else None for cell in row] for row in cells_by_row]
    grouped, grouped_tally = assembly_of(*blank)
    single, single_tally = assembly_of(*blank)
    for column in data.draw(st.permutations(range(COLUMNS))):
        said = [(number, one) for number, row in enumerate(cells_by_row) if (one := row[column]) is not None]
        whole = grouped.take(
            column,
            [number for number, _ in said],
            segments=[segment(column, one) for _, one in said],
            outcomes=bytes(one for _, one in said),
            source=Source.INSTITUTION,
        )
        assert whole == [made for number, one in said for made in take(single, column, [number], one)]
    assert grouped_tally.counts.tolist() == single_tally.counts.tolist()
    assert [grouped.body(n) for n in range(len(cells_by_row))] == [single.body(n) for n in range(len(cells_by_row))]
    assert [grouped.complete(n) for n in range(len(cells_by_row))] == [
        single.complete(n) for n in range(len(cells_by_row))
    ]
