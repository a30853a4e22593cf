"""Visits come as often as planned, each about whom it should be; figures are taken from the right ones."""

import pytest

from benchmarks.courier import Reply
from benchmarks.crowd import Crowd
from benchmarks.interactive import Plan, latencies, plan_visits
from benchmarks.pool import Request
from benchmarks.visits import Visited, ready

PLAN = Plan(
    seconds=20.0,
    capacity_seconds=1.0,
    load=0.7,
    batch=1000,
    fresh_share=0.25,
    cached_rate=50.0,
    missed_rate=20.0,
    seed=1,
)


def test_visits_are_spread_over_the_time_in_order() -> None:
    visits = plan_visits(PLAN, Crowd(1, known=100))
    moments = [visit.at for visit in visits]
    assert moments == sorted(moments)
    assert 0 < moments[0] < moments[-1] < PLAN.seconds
    counts = {kind: sum(visit.kind == kind for visit in visits) for kind in ("cached", "missed", "institution")}
    assert counts["cached"] == pytest.approx(1000, rel=0.15)
    assert counts["missed"] == pytest.approx(400, rel=0.2)
    assert counts["institution"] == pytest.approx(400, rel=0.2)


def test_cached_visits_ask_about_the_known_and_all_others_about_somebody_new() -> None:
    crowd = Crowd(1, known=100)
    visits = plan_visits(PLAN, crowd)
    others = [visit.request.subjects[0] for visit in visits if visit.kind != "cached"]
    assert all(visit.request.subjects[0] < crowd.known for visit in visits if visit.kind == "cached")
    assert min(others) >= crowd.known
    assert len(set(others)) == len(others)
    assert all(visit.direct == (visit.kind == "institution") for visit in visits)


def test_figures_are_by_kind() -> None:
    request = Request(b"", [0], is_bulk=False)
    visited = [
        Visited(kind, request, Reply(asked=1, first=last / 2, last=last), late=0.001)
        for kind, last in (("cached", 0.004), ("missed", 0.030), ("institution", 0.010))
    ]
    figures = latencies(visited)
    assert figures["cached_p99_ms"] == 4.0
    assert figures["cached_first_p50_ms"] == 2.0
    assert figures["missed_p99_over_institution_ms"] == 20.0
    assert figures["client_late_p99_ms"] == 1.0


def test_a_system_that_lets_nobody_go_ahead_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.sched_setscheduler", refuse)
    assert not ready()
