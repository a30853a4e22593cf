"""Metrics of lanes, admission, bridge and store, which are read from their `statistics()` on each scrape."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.core.control.admission import Admission
from broker.core.control.breaker import State
from broker.lanes.lane import Lane
from broker.loops.bridge import Bridge
from broker.store.base import Store


class ComponentCollector(Collector):
    """Collects the statistics of the worker's components."""

    def __init__(self, lanes: Mapping[str, Lane], admission: Admission, bridge: Bridge, store: Store) -> None:
        self._lanes = lanes
        self._admission = admission
        self._bridge = bridge
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        yield from self._collect_lanes()
        yield from self._collect_admission()
        yield from self._collect_bridge()
        yield from self._collect_store()

    def _collect_admission(self) -> Iterator[Metric]:
        statistics = self._admission.statistics()
        for field, text in _ADMISSION_GAUGES.items():
            yield GaugeMetricFamily(f"broker_{field}", text, getattr(statistics, field))
        refused = CounterMetricFamily("broker_requests_refused", "Requests refused, by reason.", labels=["reason"])
        for reason, count in statistics.refused.items():
            refused.add_metric([reason], count)
        yield refused

    def _collect_bridge(self) -> Iterator[Metric]:
        errors = CounterMetricFamily(
            "broker_internal_errors", "Unforeseen errors on the trio side, by type and source line.", labels=["origin"]
        )
        for where, count in self._bridge.statistics().internal_errors.items():
            errors.add_metric([where], count)
        yield errors

    def _collect_lanes(self) -> Iterator[Metric]:
        gauges = {
            field: GaugeMetricFamily(f"broker_lane_{field}", text, labels=["institution"])
            for field, text in _LANE_GAUGES.items()
        }
        counters = {
            field: CounterMetricFamily(f"broker_lane_{field}", text, labels=["institution"])
            for field, text in _LANE_COUNTERS.items()
        }
        breaker = GaugeMetricFamily(
            "broker_lane_breaker",
            "State of the circuit breaker: 1 for the current state, else 0.",
            labels=["institution", "state"],
        )
        failures = CounterMetricFamily(
            "broker_lane_failures", "Failed calls, by reason.", labels=["institution", "reason"]
        )
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


_ADMISSION_GAUGES = {
    "requests_in_flight": "Requests admitted whose stream has not ended.",
    "inquiries_in_flight": "Inquiries of requests in flight; one request counts for at most 80 % of the limit.",
    "inquiries_in_flight_limit": "Inquiries that requests in flight may have together.",
    "request_bytes_in_flight": "Bytes of the bodies of requests in flight; one counts for at most 80 % of the limit.",
    "request_bytes_in_flight_limit": "Bytes that the bodies of requests in flight may have together.",
}
_LANE_GAUGES = {
    "queued": "Inquiries waiting to be sent.",
    "in_flight": "Inquiries waiting to be sent, or sent and not answered yet.",
    "calls": "Calls in progress.",
    "limit": "Simultaneous calls that are allowed at present.",
}
_LANE_COUNTERS = {
    "asked": "Inquiries sent for the first time.",
    "repeated": "Inquiries sent again after a failed or refused call.",
    "shared": "Answers that a request received from another request's call.",
}
_STORE_GAUGES = {
    "records": "Subjects in the store.",
    "bytes_used": "Size of the store in bytes.",
    "bytes_limit": "Maximum size of the store in bytes.",
    "pending": "Answers waiting to be committed.",
    "healthy": "1 if answers are stored, 0 if they are dropped.",
}
_STORE_COUNTERS = {
    "hits": "Subjects found when read.",
    "misses": "Subjects not found when read. Missed subjects are read twice, or three times if they are forwarded.",
    "commits": "Commits.",
    "commit_seconds": "Time spent in commits.",
    "dropped": "Answers not stored because the store was full or failing.",
    "damaged": "Records that could not be decrypted, and were treated as misses.",
    "older_key_reads": "Records decrypted with a key that no longer seals; none for a day: it may be removed.",
}
