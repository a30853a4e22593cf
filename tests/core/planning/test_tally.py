"""The tally counts what a Counter counts, whichever way the answers come in."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.tally import Tally
from broker.model import Outcome, Source

COLUMNS = 3
columns = st.integers(0, COLUMNS - 1)
sources = st.sampled_from(Source)
outcomes = st.lists(st.sampled_from(Outcome), max_size=6)
choices = st.sets(columns, min_size=1).map(lambda chosen: tuple(sorted(chosen)))
rows = st.lists(
    choices.flatmap(
        lambda c: st.tuples(st.just(c), st.lists(st.sampled_from(Outcome), min_size=len(c), max_size=len(c)))
    )
)


def counted(tally: Tally) -> Counter[tuple[int, Source, Outcome]]:
    return Counter(
        {
            (column, source, outcome): int(tally.counts[column, source, outcome])
            for column in range(COLUMNS)
            for source in Source
            for outcome in Outcome
            if tally.counts[column, source, outcome]
        }
    )


@given(st.lists(st.tuples(columns, outcomes, sources)))
def test_counts_are_those_of_the_answers(batches: list[tuple[int, list[Outcome], Source]]) -> None:
    tally = Tally(COLUMNS)
    for column, said, source in batches:
        tally.add(column, bytes(said), source)
    assert counted(tally) == Counter((column, source, one) for column, said, source in batches for one in said)


@given(rows, sources)
def test_whole_rows_count_like_their_cells(told: list[tuple[tuple[int, ...], list[Outcome]]], source: Source) -> None:
    by_columns: dict[tuple[int, ...], list[bytes]] = defaultdict(list)
    for chosen, said in told:
        by_columns[chosen].append(bytes(said))
    tally = Tally(COLUMNS)
    tally.add_rows(by_columns, source)
    assert counted(tally) == Counter(
        (column, source, one) for chosen, said in told for column, one in zip(chosen, said, strict=True)
    )


@given(st.lists(st.tuples(columns, outcomes, sources)), st.sets(st.sampled_from(Outcome), min_size=1))
def test_summaries(batches: list[tuple[int, list[Outcome], Source]], wanted: set[Outcome]) -> None:
    tally = Tally(COLUMNS)
    for column, said, source in batches:
        tally.add(column, bytes(said), source)
    assert tally.by_outcome() == Counter(one for _, said, _ in batches for one in said)
    assert tally.by_source() == Counter(source for _, said, source in batches for _ in said)
    assert tally.columns_with(*wanted) == sorted({column for column, said, _ in batches if wanted & set(said)})


def test_a_request_of_no_columns_counts_nothing() -> None:
    tally = Tally(0)
    tally.add_rows({}, Source.CACHE)
    assert tally.by_outcome() == {}
    assert tally.columns_with(Outcome.FOUND) == []
