"""What Locust reports of the load test.

Each kind of request has two entries, *first report* and *last report*, because an average over a stream says nothing.
Only the last report counts in Locust's totals, so that a request is one request there; a failed one appears in both
entries. Beside them, answers are counted by institution and outcome, also across Locust's workers.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import grpc

from loadtest.court import Timing
from loadtest.outcome import Verdict
from loadtest.thresholds import Figures

TYPE = "stream"
_FIRST, _LAST = ": first report", ": last report"
_MAX_FAULTS = 3  # named in one error; a batch during an outage has one kind of fault per institution
_ANSWERS, _CHECKED = "broker_answers", "broker_checked"


class FailedRequestError(Exception):
    """A request failed. Its text is the same for all that failed for the same reasons."""


class Statistics:
    """State: answers by institution and outcome, and how many were compared with the truth."""

    def __init__(self, environment: Any) -> None:
        """Also exchanges what it counts between Locust's workers and master."""
        self._environment = environment
        self.answers: Counter[tuple[str, str]] = Counter()
        self.checked = 0
        environment.events.report_to_master.add_listener(self._report)
        environment.events.worker_report.add_listener(self._take)

    def answered(self, kind: str, timing: Timing, verdict: Verdict) -> None:
        """Records a request whose stream ended properly."""
        self.answers += verdict.answers
        self.checked += verdict.checked
        error = FailedRequestError(_summary(verdict.faults)) if verdict.faults else None
        self._record(kind, timing, error)

    def failed(self, kind: str, seconds: float, error: Exception) -> None:
        """Records a request that ended in an error after so many seconds."""
        # Not its text, which may contain a subject, and differs from request to request.
        name = f"gRPC status {error.code().name}" if isinstance(error, grpc.Call) else type(error).__name__
        self._record(kind, Timing(seconds, seconds, 0), FailedRequestError(name))

    def last_reports(self) -> dict[str, Figures]:
        """The figures of the entries *last report*, by kind of request."""
        return self._figures(_LAST)

    def first_reports(self) -> dict[str, Figures]:
        """The figures of the entries *first report*, by kind of request."""
        return self._figures(_FIRST)

    def _record(self, kind: str, timing: Timing, error: Exception | None) -> None:
        self._environment.events.request.fire(
            request_type=TYPE,
            name=kind + _LAST,
            response_time=timing.last * 1000,
            response_length=timing.size,
            exception=error,
            context={},
        )
        first = self._environment.stats.get(kind + _FIRST, TYPE)  # the entry alone, without Locust's totals
        first.log(timing.first * 1000, 0)
        if error:
            first.log_error(error)

    def _figures(self, suffix: str) -> dict[str, Figures]:
        return {
            name.removesuffix(suffix): Figures(
                requests=entry.num_requests,
                failures=entry.num_failures,
                p50=entry.get_response_time_percentile(0.50) or 0.0,
                p95=entry.get_response_time_percentile(0.95) or 0.0,
                p99=entry.get_response_time_percentile(0.99) or 0.0,
            )
            for (name, method), entry in self._environment.stats.entries.items()
            if method == TYPE and name.endswith(suffix)
        }

    def _report(self, client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002 - Locust's interface
        data[_ANSWERS] = [[*key, count] for key, count in self.answers.items()]
        data[_CHECKED] = self.checked
        self.answers.clear()
        self.checked = 0

    def _take(self, client_id: str, data: Mapping[str, Any]) -> None:  # noqa: ARG002 - Locust's interface
        for institution, outcome, count in data.get(_ANSWERS, ()):
            self.answers[institution, outcome] += count
        self.checked += data.get(_CHECKED, 0)


def _summary(faults: Counter[str]) -> str:
    named = sorted(faults)
    more = len(named) - _MAX_FAULTS
    return "; ".join(named[:_MAX_FAULTS]) + (f"; and {more} more kinds" if more > 0 else "")
