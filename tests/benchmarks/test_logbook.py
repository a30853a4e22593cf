"""A run that is resumed counts everything once, whatever the moment it was interrupted at."""

import random
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plot
from benchmarks.courier import Reply
from benchmarks.logbook import Ledger, Logbook, Sample, Totals
from broker.v1 import investigation_pb2 as pb

SETTINGS = {"inquiries": 7, "seed": 1}


def reply(inquiries: int) -> Reply:
    return Reply(asked=1, positions=[0], summary=pb.Summary(lookups=1, inquiries=inquiries))


def sample(seconds: float) -> Sample:
    return Sample(seconds, *range(1, len(Sample._fields)))


@given(st.lists(st.integers(0, 9), max_size=20), st.randoms(use_true_random=False), st.integers(0, 20))
def test_the_ledger_counts_what_has_ended_without_a_gap(sizes: list[int], rng: random.Random, interrupted: int) -> None:
    order = list(range(len(sizes)))
    rng.shuffle(order)
    ended = order[:interrupted]
    ledger = Ledger(Totals())
    for number in ended:
        ledger.enter(number, [reply(sizes[number])])
    whole = next(number for number in range(len(sizes) + 1) if number not in ended)
    assert ledger.totals.portions == whole
    assert ledger.totals.inquiries == sum(sizes[:whole])
    assert ledger.totals.requests == whole


def test_a_request_that_failed_is_counted_as_lost() -> None:
    totals = Totals()
    totals.add(Reply(asked=5, status="UNAVAILABLE"))
    assert (totals.failed, totals.lost, totals.lookups) == (1, 5, 0)


def test_a_folder_without_a_run_begins_one(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "new", SETTINGS)
    assert book.is_new
    assert book.totals == Totals()
    assert book.samples() == []


def test_a_saved_run_is_resumed_without_the_samples_after_it(tmp_path: Path) -> None:
    book = Logbook(tmp_path, SETTINGS)
    book.note(sample(1.0))
    book.note(sample(2.0))
    book.totals.seconds, book.totals.portions, book.totals.broker_cpu = 2.0, 5, 1.25
    book.save(finished=False)
    book.note(sample(3.0))
    again = Logbook(tmp_path, SETTINGS)
    assert not again.is_new
    assert again.totals == book.totals
    assert again.samples() == [sample(1.0), sample(2.0)]


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    book = Logbook(tmp_path, SETTINGS)
    book.totals.seconds, book.totals.portions = 1.0, 3
    book.note(sample(0.5))
    book.save(finished=True)
    again = Logbook(tmp_path, SETTINGS)
    assert again.is_new
    assert (again.totals, again.samples()) == (Totals(), [])


def test_an_unfinished_run_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    Logbook(tmp_path, SETTINGS).save(finished=False)
    before = (tmp_path / "state.json").read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        Logbook(tmp_path, SETTINGS | {"seed": 2})
    assert (tmp_path / "state.json").read_bytes() == before


def test_a_series_is_drawn(tmp_path: Path) -> None:
    idle = sample(3.0)._replace(bulk_p50_ms=nan, bulk_p99_ms=nan)
    plot.draw([sample(1.0), sample(2.0), idle], tmp_path / "replay.png", title="a run")
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
