"""Whether a run has passed: a table of figures and thresholds."""

import pytest

from loadtest.thresholds import Figures, Thresholds

FAST = Figures(requests=90, failures=0, p50=10, p95=20, p99=30)
SLOW = Figures(requests=10, failures=1, p50=100, p95=200, p99=3000)


@pytest.mark.parametrize(
    ("thresholds", "figures", "exceeded"),
    [
        (Thresholds(), {"1": FAST}, []),
        (Thresholds(), {"1": FAST, "200": SLOW}, ["1 of 100 requests failed (1.00%); the threshold is 0.00%"]),
        (Thresholds(max_failure_ratio=0.01), {"1": FAST, "200": SLOW}, []),
        (
            Thresholds(max_failure_ratio=0.01, p99=2999),
            {"1": FAST, "200": SLOW},
            ["200: the last report took 3000 ms at p99; the threshold is 2999 ms"],
        ),
        (Thresholds(max_failure_ratio=0.01, p99=3000), {"1": FAST, "200": SLOW}, []),
        (Thresholds(max_failure_ratio=1), {}, ["no request was made: look at the log of Locust"]),
    ],
)
def test_a_run_passes_within_its_thresholds(
    thresholds: Thresholds, figures: dict[str, Figures], exceeded: list[str]
) -> None:
    assert thresholds.exceeded_by(figures) == exceeded
