"""The metric of reloads."""

from prometheus_client import CollectorRegistry

from broker.metrics.reloads import ReloadCollector


def test_refused_reloads_are_counted_on_each_scrape() -> None:
    refused = 0
    registry = CollectorRegistry()
    registry.register(ReloadCollector(lambda: refused))
    assert registry.get_sample_value("broker_reloads_refused_total") == 0
    refused = 2
    assert registry.get_sample_value("broker_reloads_refused_total") == 2
