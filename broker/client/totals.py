"""Totals over the reports of an investigation.

They are computed from the reports instead of the broker's summaries. After a stream broke and its open lookups were
sent again, the summaries would count some lookups twice and others not at all.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb

_UNAVAILABLE: frozenset[int] = frozenset({Outcome.UNAVAILABLE, Outcome.TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over the reports of an investigation."""

    lookups: int
    """The number of lookups with a final report."""
    inquiries: int
    """The number of answers."""
    outcomes: Mapping[Outcome, int]
    sources: Mapping[Source, int]
    unavailable: frozenset[str]
    """The ids of institutions with at least one answer UNAVAILABLE or TIMED_OUT."""
    complete: bool
    """Whether every lookup has its final report, and every report was complete."""


class TotalsCounter:
    """Adds up reports. State: the counts of answers by outcome and source, and of reports by completeness."""

    __slots__ = ("_answers", "_final", "_incomplete", "_unavailable")

    def __init__(self) -> None:
        self._answers: Counter[tuple[int, int]] = Counter()
        self._unavailable: set[str] = set()
        self._final = 0
        self._incomplete = 0

    def add(self, report: pb.Report) -> None:
        """Adds one report."""
        for answer in report.answers:
            self._answers[answer.outcome, answer.source] += 1
            if answer.outcome in _UNAVAILABLE and answer.institution_id:  # none if the client itself ran out of time
                self._unavailable.add(answer.institution_id)
        if report.final:
            self._final += 1
            self._incomplete += not report.complete

    def totals(self, *, whole: bool) -> Totals:
        """The totals so far. `whole`: whether every lookup has its final report."""
        outcomes: Counter[Outcome] = Counter()
        sources: Counter[Source] = Counter()
        for (outcome, source), count in self._answers.items():
            outcomes[Outcome(outcome)] += count
            sources[Source(source)] += count
        return Totals(
            lookups=self._final,
            inquiries=self._answers.total(),
            outcomes=outcomes,
            sources=sources,
            unavailable=frozenset(self._unavailable),
            complete=whole and not self._incomplete,
        )
