"""What the audit log tells of itself."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.audit.log import AuditStatistics


class AuditCollector(Collector):
    """The metrics of a worker's audit log."""

    def __init__(self, statistics: AuditStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        now = self._statistics
        yield GaugeMetricFamily(
            "broker_audit_writable",
            "1 as long as requests can be recorded; at 0 every new request is refused.",
            value=float(now.healthy),
        )
        yield CounterMetricFamily("broker_audit_entries", "Entries recorded.", value=now.entries)
        yield CounterMetricFamily(
            "broker_audit_commits",
            "Commits of the audit log, each of which records all entries that wait.",
            now.commits,
        )
        yield CounterMetricFamily(
            "broker_audit_commit_seconds", "Time spent in commits: writing and fdatasync.", value=now.commit_seconds
        )
