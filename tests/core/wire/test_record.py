"""Records: nothing is lost between packing and unpacking, and newer answers take the place of older ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.planning.selection import select
from broker.core.wire import encoding, record
from broker.core.wire.record import Entry
from broker.institutions.stub import stub_spec
from broker.model import Court, Level, Outcome, Problem, Source, SubjectType

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=64)
moments = st.integers(1, 2**32 - 1)


def entry(institution_id: str, outcome: int = Outcome.NOT_FOUND, *, observed: int = 10, expires: int = 100) -> Entry:
    (segment,) = encoding.make_segments(
        institution_id, [encoding.content(Outcome(outcome), observed_at=observed)], Source.CACHE
    )
    return Entry(record.institution_key(institution_id), outcome, observed, expires, segment)


def entries_of(institution_ids: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[Entry]]:
    return institution_ids.flatmap(
        lambda chosen: st.tuples(
            *(
                st.builds(
                    lambda outcome, observed, expires, one=one: entry(one, outcome, observed=observed, expires=expires),
                    st.sampled_from([Outcome.FOUND, Outcome.NOT_FOUND]),
                    moments,
                    moments,
                )
                for one in chosen
            )
        ).map(list)
    )


some_entries = entries_of(st.lists(ids, min_size=1, max_size=6, unique=True))
few = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4, unique=True)


@given(some_entries)
def test_what_was_packed_is_unpacked_in_order_of_ids(entries: list[Entry]) -> None:
    ordered = sorted(entries, key=lambda one: encoding.institution_of(one.segment).decode())
    assert record.unpack(record.pack(entries)) == ordered


@given(some_entries)
def test_the_body_is_every_answer_as_it_stands(entries: list[Entry]) -> None:
    packed = record.pack(entries)
    assert packed[record.body_at(len(entries)) :] == b"".join(one.segment for one in record.unpack(packed))


@given(some_entries)
def test_last_expiry_is_the_latest(entries: list[Entry]) -> None:
    assert record.last_expiry(record.pack(entries)) == max(one.expires for one in entries)


@given(st.lists(ids, min_size=1, max_size=6, unique=True))
def test_a_records_fingerprint_is_that_of_the_selection(institution_ids: list[str]) -> None:
    registry = [stub_spec(one) for one in institution_ids]
    choice = select(registry, Court("最高法", Level.SUPREME, None)).choices[SubjectType.RESIDENT_ID]
    packed = record.pack([entry(one) for one in institution_ids])
    assert packed.startswith(choice.fingerprint)
    assert record.body_at(len(institution_ids)) == choice.body_at


def test_a_fingerprint_is_of_the_set_in_its_order() -> None:
    a, b = record.institution_key("a"), record.institution_key("b")
    assert record.fingerprint([a, b]) != record.fingerprint([b, a]) != record.fingerprint([a])


@pytest.mark.parametrize(
    ("held", "added", "now", "left"),
    [
        pytest.param([], [("a", 10, 100)], 50, [("a", 10)], id="nothing was held"),
        pytest.param([("a", 10, 100)], [("b", 20, 100)], 50, [("a", 10), ("b", 20)], id="another institution"),
        pytest.param([("b", 10, 100)], [("a", 20, 100)], 50, [("a", 20), ("b", 10)], id="in order of ids"),
        pytest.param([("a", 10, 100)], [("a", 20, 100)], 50, [("a", 20)], id="newer wins"),
        pytest.param([("a", 20, 100)], [("a", 10, 100)], 50, [("a", 20)], id="older loses"),
        pytest.param([("a", 10, 40)], [("b", 20, 100)], 50, [("b", 20)], id="expired is left out"),
        pytest.param([("a", 10, 50)], [("b", 20, 100)], 50, [("b", 20)], id="expires at this very second"),
        pytest.param([("a", 20, 40)], [("a", 10, 100)], 50, [("a", 10)], id="expired does not win by being newer"),
        pytest.param([("a", 50, 100)], [("a", 49, 100)], 50, [("a", 50)], id="of this very second"),
        pytest.param([("a", 51, 100)], [("a", 49, 100)], 50, [("a", 49)], id="observed before the clock was set back"),
        pytest.param([("a", 51, 100)], [("b", 49, 100)], 50, [("a", 51), ("b", 49)], id="it stays until replaced"),
    ],
)
def test_merging(
    held: list[tuple[str, int, int]], added: list[tuple[str, int, int]], now: int, left: list[tuple[str, int]]
) -> None:
    old = record.pack([entry(i, observed=o, expires=e) for i, o, e in held]) if held else None
    merged = record.merge(old, [entry(i, observed=o, expires=e) for i, o, e in added], now)
    assert [(encoding.institution_of(one.segment).decode(), one.observed) for one in record.unpack(merged)] == left


def test_of_two_answers_of_the_same_second_the_later_wins() -> None:
    held = record.pack([entry("a", Outcome.NOT_FOUND)])
    (kept,) = record.unpack(record.merge(held, [entry("a", Outcome.FOUND)], 50))
    assert kept.outcome == Outcome.FOUND


@given(entries_of(few), entries_of(few), moments)
def test_a_merge_keeps_the_newest_fresh_answer_of_each(held: list[Entry], added: list[Entry], now: int) -> None:
    expected = {one.institution: one for one in held if one.expires > now}
    for one in added:
        before = expected.get(one.institution)
        if before is None or before.observed <= one.observed or before.observed > now:
            expected[one.institution] = one
    merged = record.unpack(record.merge(record.pack(held), added, now))
    assert {one.institution: one for one in merged} == expected
    assert len(merged) == len(expected)


@given(st.lists(ids, min_size=1, max_size=4, unique=True), st.data())
def test_records_packed_together_are_those_packed_one_by_one(institution_ids: list[str], data: st.DataObject) -> None:
    subjects = data.draw(st.lists(entries_of(st.just(sorted(institution_ids))), min_size=1, max_size=5))
    columns = [[of[index] for of in subjects] for index in range(len(institution_ids))]
    answers = record.Answers(
        institutions=[column[0].institution for column in columns],
        outcomes=np.array([[one.outcome for one in of] for of in subjects], np.uint8),
        observed=np.array([[one.observed for one in of] for of in subjects], np.int64),
        expires=np.array([[one.expires for one in of] for of in subjects], np.int64),
        segments=[encoding.with_source([one.segment for one in column], Source.INSTITUTION) for column in columns],
    )
    together = record.pack_many(answers, Source.CACHE)
    assert [bytes(one) for one in together] == [record.pack(of) for of in subjects]


@given(st.integers(0, 70_000))
def test_segments_of_any_length_are_told_apart(size: int) -> None:
    said = [encoding.content(Outcome.NOT_FOUND, observed_at=1, problem=Problem("x" * size, "", ""))]
    entries = [
        Entry(record.institution_key(one), 2, 1, 2, encoding.make_segments(one, said, Source.CACHE)[0])
        for one in ("a", "b")
    ]
    assert record.unpack(record.pack(entries)) == entries
