"""Probes are planned at the right rates and about the right persons; percentiles are taken by kind."""

import pytest

from benchmarks.dataset import Dataset
from benchmarks.interactive import LoadProfile, latencies, plan_probes
from benchmarks.load_client import StreamResult
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.probe import ProbeResult, raise_priority

PROFILE = LoadProfile(
    seconds=20.0,
    capacity_seconds=1.0,
    load=0.7,
    batch=1000,
    uncached_share=0.25,
    cached_rate=50.0,
    missed_rate=20.0,
    seed=1,
)


def test_probes_are_spread_over_the_time_in_order() -> None:
    probes = plan_probes(PROFILE, Dataset(1, cached=100))
    moments = [probe.at for probe in probes]
    assert moments == sorted(moments)
    assert 0 < moments[0] < moments[-1] < PROFILE.seconds
    counts = {kind: sum(probe.kind == kind for probe in probes) for kind in ("cached", "missed", "institution")}
    assert counts["cached"] == pytest.approx(1000, rel=0.15)
    assert counts["missed"] == pytest.approx(400, rel=0.2)
    assert counts["institution"] == pytest.approx(400, rel=0.2)


def test_cached_probes_ask_about_cached_persons_and_all_others_about_others() -> None:
    dataset = Dataset(1, cached=100)
    probes = plan_probes(PROFILE, dataset)
    others = [probe.request.subjects[0] for probe in probes if probe.kind != "cached"]
    assert all(probe.request.subjects[0] < dataset.cached for probe in probes if probe.kind == "cached")
    assert min(others) >= dataset.cached
    assert len(set(others)) == len(others)
    assert all(probe.direct == (probe.kind == "institution") for probe in probes)


def test_percentiles_are_taken_by_kind() -> None:
    request = EncodedRequest(b"", [0], is_bulk=False)
    results = [
        ProbeResult(kind, request, StreamResult(lookups=1, first=last / 2, last=last), late=0.001)
        for kind, last in (("cached", 0.004), ("missed", 0.030), ("institution", 0.010))
    ]
    figures = latencies(results)
    assert figures["cached_p99_ms"] == 4.0
    assert figures["cached_first_p50_ms"] == 2.0
    assert figures["missed_p99_over_institution_ms"] == 20.0
    assert figures["client_late_p99_ms"] == 1.0


def test_a_system_that_refuses_priority_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.sched_setscheduler", refuse)
    assert not raise_priority()
