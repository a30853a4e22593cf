"""Counts answers by institution, outcome and source.

The answers to a request are added at once, whatever the number of institutions. A child of a labelled counter for each
combination took 8 µs to make: 13 ms in one step of the loop at 400 institutions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.core.planning.tally import Tally
from broker.model import InstitutionSpec, Outcome, Source


class AnswerCounts(Collector):
    """State: the totals since the start, and which row of them is which institution's."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._totals = Tally(0).counts

    def add(self, institutions: Sequence[InstitutionSpec], tally: Tally) -> None:
        """Adds the answers to a request. `institutions`: each once, aligned with the tally's columns."""
        rows = [self._rows.setdefault(each.id, len(self._rows)) for each in institutions]
        if new := len(self._rows) - len(self._totals):
            self._totals = np.concatenate((self._totals, Tally(new).counts))
        self._totals[rows] += tally.counts

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        family = CounterMetricFamily(
            "broker_inquiries",
            "Answers by institution, outcome and source. An inquiry is one lookup at one institution.",
            labels=["institution", "outcome", "source"],
        )
        names = list(self._rows)
        for row, source, outcome in zip(*(axis.tolist() for axis in self._totals.nonzero()), strict=True):
            labels = [names[row], Outcome(outcome).name, Source(source).name]
            family.add_metric(labels, int(self._totals[row, source, outcome]))
        yield family
