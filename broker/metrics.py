"""What operators watch. Counted once per batch, never per inquiry; no label ever holds a subject's data.

Counters of requests are counted where they happen. Everything that a lane, the gate or the store knows about itself
(`statistics()`) is read when Prometheus asks.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.admission import Admission
from broker.core.breaker import State
from broker.core.selection import Selection
from broker.core.tally import Tally
from broker.lane import Lane
from broker.model import Outcome, Source
from broker.store.base import Store

# From a cached lookup (1 ms) to a request's longest patience (minutes).
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LOOKUPS = (1, 10, 100, 1_000, 10_000)


class RequestMeter:
    """Counts what requests asked and were answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "broker_inquiries",
            "Answers given, by institution, outcome and source (an inquiry is one lookup at one institution).",
            ["institution", "outcome", "source"],
            registry=registry,
        )
        self._lookups = Counter("broker_lookups", "Lookups reported on.", ["validity"], registry=registry)
        self._requests = Counter("broker_requests", "Requests ended, by gRPC status.", ["status"], registry=registry)
        self._request_seconds = Histogram(
            "broker_request_seconds",
            "From a request's arrival to the end of its stream.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_seconds = Histogram(
            "broker_first_report_seconds",
            "From a request's arrival to its first message.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_sizes = Histogram(
            "broker_request_lookups", "Lookups per request.", buckets=_LOOKUPS, registry=registry
        )
        # Looking a labelled child up takes a lock and makes strings: done once per combination.
        self._child = lru_cache(maxsize=None)(self._answers.labels)

    def count(self, selection: Selection, tally: Tally, *, lookups: int, invalid: int) -> None:
        """Counts one request's answers."""
        for column, source, outcome in zip(*tally.counts.nonzero(), strict=True):
            name = selection.institutions[column].id
            self._child(name, Outcome(outcome).name, Source(source).name).inc(
                int(tally.counts[column, source, outcome])
            )
        self._lookups.labels("valid").inc(lookups - invalid)
        self._lookups.labels("invalid").inc(invalid)
        self._batch_sizes.observe(lookups)

    def first_message(self, seconds: float) -> None:
        """A request's first message has been handed to the transport."""
        self._first_seconds.observe(seconds)

    def ended(self, status: str, seconds: float) -> None:
        """A request's stream has ended."""
        self._requests.labels(status).inc()
        self._request_seconds.observe(seconds)


class StateCollector(Collector):
    """Reads what the worker's parts say of themselves."""

    def __init__(self, lanes: Mapping[str, Lane], admission: Admission, store: Store) -> None:
        self._lanes = lanes
        self._admission = admission
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        yield from self._collect_lanes()
        gate = self._admission.statistics()
        yield GaugeMetricFamily("broker_requests_active", "Requests under way.", gate.requests)
        yield GaugeMetricFamily("broker_lookups_active", "Lookups under way: permits taken.", gate.lookups)
        yield GaugeMetricFamily("broker_lookups_limit", "Lookups allowed under way: permits there are.", gate.limit)
        yield CounterMetricFamily("broker_requests_refused", "Requests refused because of the limit.", gate.refused)
        yield from self._collect_store()

    def _collect_lanes(self) -> Iterator[Metric]:
        gauges = {
            field: GaugeMetricFamily(f"broker_lane_{field}", text, labels=["institution"])
            for field, text in _LANE_GAUGES.items()
        }
        counters = {
            field: CounterMetricFamily(f"broker_lane_{field}", text, labels=["institution"])
            for field, text in _LANE_COUNTERS.items()
        }
        breaker = GaugeMetricFamily("broker_lane_breaker", "1 for the state it is in.", labels=["institution", "state"])
        failures = CounterMetricFamily("broker_lane_failures", "Failed calls.", labels=["institution", "reason"])
        for name, lane in self._lanes.items():
            statistics = lane.statistics()
            for field, gauge in gauges.items():
                gauge.add_metric([name], getattr(statistics, field))
            for field, counter in counters.items():
                counter.add_metric([name], getattr(statistics, field))
            for state in State:
                breaker.add_metric([name, state], statistics.breaker is state)
            for reason, count in statistics.failures.items():
                failures.add_metric([name, reason], count)
        yield from (*gauges.values(), *counters.values(), breaker, failures)

    def _collect_store(self) -> Iterator[Metric]:
        statistics = self._store.statistics()
        for field, text in _STORE_GAUGES.items():
            yield GaugeMetricFamily(f"broker_store_{field}", text, float(getattr(statistics, field)))
        for field, text in _STORE_COUNTERS.items():
            yield CounterMetricFamily(f"broker_store_{field}", text, getattr(statistics, field))


_LANE_GAUGES = {
    "queued": "Inquiries not yet sent.",
    "flying": "Inquiries queued or being asked.",
    "calls": "Batches under way: permits taken.",
    "limit": "Calls allowed at a time: permits there are.",
}
_LANE_COUNTERS = {
    "asked": "Inquiries sent for the first time.",
    "repeated": "Inquiries sent again after a failed or refused call.",
    "shared": "Answers given to a request other than the one that asked.",
}
_STORE_GAUGES = {
    "records": "Subjects held.",
    "bytes_used": "Size of the store.",
    "bytes_limit": "Size the store may reach.",
    "pending": "Answers not yet committed.",
    "healthy": "0 while answers are being dropped.",
}
_STORE_COUNTERS = {
    "hits": "Subjects found when read.",
    "misses": "Subjects not found when read; who is asked about is read twice, or three times if handed over.",
    "commits": "Commits.",
    "commit_seconds": "Time spent in commits.",
    "dropped": "Answers not kept because the store was full or failing.",
    "damaged": "Records that could not be read back and were treated as absent.",
}
