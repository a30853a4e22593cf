"""What is written by hand and the library's way give the same result, and a difference between them is noticed."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.alternatives import lookup_reading, report_building, struct_writing, subject_keys
from benchmarks.alternatives.__main__ import main
from benchmarks.alternatives.alternative import Alternative, Cost, DifferenceError, measure, result_of
from benchmarks.alternatives.record_index import Growth, index_alternatives, store_alternatives
from benchmarks.alternatives.sample import Sample
from benchmarks.store_growth import FOUND_SHARES, SubjectGenerator


def alternative(**changes: Any) -> Alternative:
    """One whose ways double a number."""
    usual: dict[str, Any] = {
        "prepare": lambda number: number,
        "ours": lambda given: given * 2,
        "library": lambda given: given + given,
    }
    return Alternative("part", "double", "number", 10, "addition", **usual | changes)


def test_costs_are_medians_per_unit_and_ratios_are_of_rounds() -> None:
    rounds = [
        (Cost(1.0, 1.0), Cost(2.0, 3.0)),
        (Cost(2.0, 1.0), Cost(2.0, 5.0)),
        (Cost(4.0, 1.0), Cost(12.0, 4.0)),
    ]
    result = result_of(alternative(), rounds)
    assert (result.ours, result.library) == (2.0 / 10 * 1e6, 2.0 / 10 * 1e6)
    assert (result.ratio.median, result.ratio.low, result.ratio.high) == (2.0, 1.0, 3.0)
    assert result.elapsed_ratio == 4.0


def test_both_ways_get_the_same_input_in_alternating_order_after_a_warm_up() -> None:
    calls: list[tuple[str, int]] = []

    def called(way: str, given: int) -> int:
        calls.append((way, given))
        return sum(range(20_000))

    measure(
        alternative(
            prepare=lambda number: 100 + number, ours=partial(called, "ours"), library=partial(called, "library")
        ),
        2,
    )
    assert calls == [
        ("ours", 100), ("library", 100), ("library", 101), ("ours", 101), ("ours", 102), ("library", 102),
    ]  # fmt: skip


def test_a_difference_ends_the_measurement() -> None:
    with pytest.raises(DifferenceError, match="double"):
        measure(alternative(ours=lambda _: sum(range(9_999)), library=lambda _: sum(range(10_000))), 1)


@pytest.mark.parametrize(
    "part",
    [struct_writing, lookup_reading, report_building, subject_keys],
    ids=["structs", "lookups", "reports", "keys"],
)
def test_ways_in_memory_give_the_same(part: Any) -> None:
    for one in part.alternatives(Sample(1, 1)):
        given = one.prepare(1)
        ours, library = one.ours(given), one.library(given)
        assert one.count >= 100
        assert one.same(ours, library)
        assert not one.same(ours, library[:-1])


@pytest.fixture(scope="module")
def generator() -> SubjectGenerator:
    return SubjectGenerator(1, FOUND_SHARES)


@pytest.mark.parametrize("make", [index_alternatives, store_alternatives], ids=["index", "store"])
def test_ways_on_disk_give_the_same(make: Any, generator: SubjectGenerator, tmp_path: Path) -> None:
    with ExitStack() as stack:
        put, get = make(Growth(generator, records=3_000, rounds=1, size=2_000), stack, tmp_path)
        given = put.prepare(0)
        assert put.same(put.ours(given), put.library(given))
        wanted = get.prepare(0)
        ours, library = get.ours(wanted), get.library(wanted)
        assert get.same(ours, library)
        assert not get.same(ours[::-1], library)
        missing = [[bytes(16)] * 1_000] * 2
        assert not get.same(get.ours(missing), get.library(missing))  # nothing read is nothing compared


def test_growth_ends_with_the_records_wanted(generator: SubjectGenerator) -> None:
    growth = Growth(generator, records=5_000, rounds=2, size=2_000)
    numbers = np.concatenate([*growth.before(), growth.added_in(0), growth.added_in(1)])
    assert numbers.tolist() == list(range(5_000))
    known = set(generator.keys(numbers))
    assert all(known.issuperset(batch) and len(batch) == 1_000 for batch in growth.read_in(0))
    assert growth.read_in(0) != growth.read_in(1)


def test_it_prints_a_table_and_a_line_of_json() -> None:
    result = CliRunner().invoke(main, ["--part", "keys", "--part", "structs", "--rounds", "1", "--batches", "1"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout.splitlines()[-1])
    assert [one["part"] for one in printed["alternatives"]] == ["core.subjects.key"] * 2 + [
        "institutions.struct_writer"
    ]
    assert all(one["ours_us"] > 0 and one["library_us"] > 0 for one in printed["alternatives"])
