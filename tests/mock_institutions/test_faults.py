"""Fault settings and their draws, without a server."""

from collections import Counter
from random import Random

import msgspec
import pytest

from mock_institutions.faults import KINDS, FaultDrawer, Faults, Fixed, LogNormal


def test_without_settings_nothing_happens() -> None:
    drawer = FaultDrawer(Faults(), 1)
    assert {drawer.draw() for _ in range(100)} == {None}
    assert drawer.latency() == 0


def test_every_kind_can_be_certain() -> None:
    for kind in KINDS:
        drawer = FaultDrawer(msgspec.convert({kind: 1.0}, Faults), 1)
        assert {drawer.draw() for _ in range(100)} == {kind}


def test_probabilities_are_kept() -> None:
    drawer = FaultDrawer(Faults(error=0.1, hang=0.3), 1)
    drawn = Counter(drawer.draw() for _ in range(10_000))
    assert set(drawn) == {None, "error", "hang"}
    # Five standard deviations of 10,000 draws are at most 0.025.
    assert drawn["error"] / 10_000 == pytest.approx(0.1, abs=0.025)
    assert drawn["hang"] / 10_000 == pytest.approx(0.3, abs=0.025)


def test_a_seed_gives_the_same_faults_again() -> None:
    first, second = (FaultDrawer(Faults(error=0.5), "seed") for _ in range(2))
    assert [first.draw() for _ in range(50)] == [second.draw() for _ in range(50)]


def test_settings_can_be_replaced() -> None:
    drawer = FaultDrawer(Faults(error=1), 1)
    drawer.settings = Faults(latency=Fixed(seconds=2))
    assert drawer.draw() is None
    assert drawer.latency() == 2


def test_lognormal_latency_has_its_median_and_its_tail() -> None:
    latency, rng = LogNormal(median=0.1, p99=1.0), Random(1)  # noqa: S311
    drawn = sorted(latency.draw(rng) for _ in range(10_000))
    assert drawn[5_000] == pytest.approx(0.1, rel=0.1)
    assert drawn[9_900] == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"error": 0.6, "hang": 0.5}', "more than 1"),
        ('{"error": 1.1}', r"\$.error"),
        ('{"eror": 1}', "eror"),
        ('{"latency": {"distribution": "lognormal", "median": 1, "p99": 0.5}}', "p99"),
        ('{"latency": {"distribution": "uniform"}}', "uniform"),
        ('{"poison": [""]}', "poison"),
    ],
)
def test_wrong_settings_are_refused(settings: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.json.decode(settings, type=Faults)
