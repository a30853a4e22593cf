"""Counters and histograms of requests. They are updated once per batch, never per inquiry."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from broker.core.planning.selection import Selection
from broker.core.planning.tally import Tally
from broker.metrics.answers import AnswerCounts

# From a cached lookup (1 ms) to the longest deadlines (minutes).
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LOOKUPS = (1, 10, 100, 1_000, 10_000)


class RequestMetrics:
    """Counts requests, lookups and answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = AnswerCounts()
        registry.register(self._answers)
        self._lookups = Counter(
            "broker_lookups", "Lookups with a final report, by validity.", ["validity"], registry=registry
        )
        self._requests = Counter(
            "broker_requests", "Requests that have ended, by gRPC status.", ["status"], registry=registry
        )
        self._request_seconds = Histogram(
            "broker_request_seconds",
            "Seconds from the arrival of a request to the end of its stream.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_seconds = Histogram(
            "broker_first_report_seconds",
            "Seconds from the arrival of a request to its first message.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_sizes = Histogram(
            "broker_request_lookups", "Lookups per request.", buckets=_LOOKUPS, registry=registry
        )

    def count(self, selection: Selection, tally: Tally, *, lookups: int, invalid: int) -> None:
        """Counts one request's answers."""
        self._answers.add(selection.institutions, tally)
        self._lookups.labels("valid").inc(lookups - invalid)
        self._lookups.labels("invalid").inc(invalid)
        self._batch_sizes.observe(lookups)

    def first_message(self, seconds: float) -> None:
        """Records that the first message of a request was passed to the transport."""
        self._first_seconds.observe(seconds)

    def ended(self, status: str, seconds: float) -> None:
        """Records that the stream of a request has ended."""
        self._requests.labels(status).inc()
        self._request_seconds.observe(seconds)
