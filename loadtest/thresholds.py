"""Whether a run has passed: pure comparison of its figures with the thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """One entry of the statistics. Times are in milliseconds."""

    requests: int
    failures: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a run may not exceed."""

    max_failure_ratio: float = 0.0
    """Failed requests of all requests."""
    p99: float | None = None
    """Milliseconds to the last report, for each kind of request."""

    def exceeded_by(self, last_reports: Mapping[str, Figures]) -> list[str]:
        """What was exceeded, one sentence each. `last_reports`: by kind of request."""
        requests = sum(figures.requests for figures in last_reports.values())
        failures = sum(figures.failures for figures in last_reports.values())
        if not requests:
            return ["no request was made: look at the log of Locust"]
        exceeded = []
        if failures > self.max_failure_ratio * requests:
            exceeded.append(
                f"{failures} of {requests} requests failed ({failures / requests:.2%}); "
                f"the threshold is {self.max_failure_ratio:.2%}"
            )
        if self.p99 is not None:
            exceeded += [
                f"{kind}: the last report took {figures.p99:.0f} ms at p99; the threshold is {self.p99:.0f} ms"
                for kind, figures in sorted(last_reports.items())
                if figures.p99 > self.p99
            ]
        return exceeded
