"""The metric of reloads that were refused."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class ReloadCollector(Collector):
    """Collects how many reloads were refused while this worker ran."""

    def __init__(self, refused: Callable[[], int]) -> None:
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        yield CounterMetricFamily(
            "broker_reloads_refused",
            "Reloads that were refused, so that the old configuration and the old policy stay in force.",
            self._refused(),
        )
