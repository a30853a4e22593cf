"""What the reports handed over so far add up to.

The broker's own summaries are not added up: when a stream breaks and the rest is asked for again, they would count
some lookups twice and others not at all.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb

_UNAVAILABLE: frozenset[int] = frozenset({Outcome.UNAVAILABLE, Outcome.TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts over all reports of an investigation."""

    lookups: int
    """With a final report."""
    inquiries: int
    """Answers."""
    outcomes: Mapping[Outcome, int]
    sources: Mapping[Source, int]
    unavailable: frozenset[str]
    """Ids of the institutions with an answer UNAVAILABLE or TIMED_OUT."""
    complete: bool
    """Every lookup has its final report, and every report was complete."""


class Count:
    """Adds up. State: the counts of answers by outcome and source, and of reports by completeness."""

    __slots__ = ("_answers", "_final", "_incomplete", "_unavailable")

    def __init__(self) -> None:
        self._answers: Counter[tuple[int, int]] = Counter()
        self._unavailable: set[str] = set()
        self._final = 0
        self._incomplete = 0

    def add(self, report: pb.Report) -> None:
        """Counts one report."""
        for answer in report.answers:
            self._answers[answer.outcome, answer.source] += 1
            if answer.outcome in _UNAVAILABLE:
                self._unavailable.add(answer.institution_id)
        if report.final:
            self._final += 1
            self._incomplete += not report.complete

    def totals(self, *, whole: bool) -> Totals:
        """The counts as they are now. `whole`: whether every lookup has its final report."""
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
