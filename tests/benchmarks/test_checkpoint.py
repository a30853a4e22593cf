"""A resumed run counts everything once, at whatever moment it was interrupted."""

import random
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plot
from benchmarks.checkpoint import Checkpoint, OrderedTotals, RunTotals, Sample
from benchmarks.load_client import StreamResult
from broker.v1 import investigation_pb2 as pb

SETTINGS = {"inquiries": 7, "seed": 1}


def result(inquiries: int) -> StreamResult:
    return StreamResult(lookups=1, positions=[0], summary=pb.Summary(lookups=1, inquiries=inquiries))


def sample(seconds: float) -> Sample:
    return Sample(seconds, *range(1, len(Sample._fields)))


@given(st.lists(st.integers(0, 9), max_size=20), st.randoms(use_true_random=False), st.integers(0, 20))
def test_portions_count_once_all_before_them_have_ended(sizes: list[int], rng: random.Random, interrupted: int) -> None:
    order = list(range(len(sizes)))
    rng.shuffle(order)
    ended = order[:interrupted]
    ordered = OrderedTotals(RunTotals())
    for number in ended:
        ordered.enter(number, [result(sizes[number])])
    whole = next(number for number in range(len(sizes) + 1) if number not in ended)
    assert ordered.totals.portions == whole
    assert ordered.totals.inquiries == sum(sizes[:whole])
    assert ordered.totals.requests == whole


def test_the_lookups_of_a_failed_request_are_lost() -> None:
    totals = RunTotals()
    totals.add(StreamResult(lookups=5, status="UNAVAILABLE"))
    assert (totals.failed, totals.lost, totals.lookups) == (1, 5, 0)


def test_an_empty_folder_begins_a_run(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new", SETTINGS)
    assert checkpoint.is_new
    assert checkpoint.totals == RunTotals()
    assert checkpoint.samples() == []


def test_a_saved_run_is_resumed_without_the_samples_after_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, SETTINGS)
    checkpoint.add_sample(sample(1.0))
    checkpoint.add_sample(sample(2.0))
    checkpoint.totals.seconds, checkpoint.totals.portions, checkpoint.totals.broker_cpu = 2.0, 5, 1.25
    checkpoint.save(finished=False)
    checkpoint.add_sample(sample(3.0))
    resumed = Checkpoint(tmp_path, SETTINGS)
    assert not resumed.is_new
    assert resumed.totals == checkpoint.totals
    assert resumed.samples() == [sample(1.0), sample(2.0)]


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, SETTINGS)
    checkpoint.totals.seconds, checkpoint.totals.portions = 1.0, 3
    checkpoint.add_sample(sample(0.5))
    checkpoint.save(finished=True)
    resumed = Checkpoint(tmp_path, SETTINGS)
    assert resumed.is_new
    assert (resumed.totals, resumed.samples()) == (RunTotals(), [])


def test_an_unfinished_run_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    Checkpoint(tmp_path, SETTINGS).save(finished=False)
    before = (tmp_path / "state.json").read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        Checkpoint(tmp_path, SETTINGS | {"seed": 2})
    assert (tmp_path / "state.json").read_bytes() == before


def test_samples_are_plotted(tmp_path: Path) -> None:
    idle = sample(3.0)._replace(bulk_p50_ms=nan, bulk_p99_ms=nan)
    plot.draw([sample(1.0), sample(2.0), idle], tmp_path / "replay.png", title="a run")
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
