"""Resumes after a broken stream: the reports of a lookup begin in one stream and end in another.

Rules

1. A lookup is identified by its position, not by its ref, because several lookups may have the same ref.
2. Only lookups without a final report are sent again.
3. Of an institution's answers to one lookup, the first one counts. With incremental delivery, some answers to an
   unfinished lookup have been passed on already; they are removed from the reports of the second stream.
4. A lookup is complete if all answers that were passed on are conclusive, from whichever stream they came.

Example, one lookup with incremental delivery:

    first stream    position 0: bank FOUND                                    then it breaks
    second stream   position 0: bank FOUND, vehicle NOT_FOUND, final          starts from the beginning
    passed on       position 0: bank FOUND │ vehicle NOT_FOUND, final, complete
"""

from broker.model import CONCLUSIVE
from broker.v1 import investigation_pb2 as pb

_CONCLUSIVE: frozenset[int] = CONCLUSIVE


class Resumption:
    """State: the outcomes passed on for unfinished lookups, by institution; and the finished lookups."""

    __slots__ = ("_outcomes", "complete", "finished")

    def __init__(self) -> None:
        self._outcomes: dict[int, dict[str, int]] = {}
        self.finished: set[int] = set()
        """The positions of lookups with a final report."""
        self.complete = True
        """Whether every finished lookup is complete."""

    def take(self, report: pb.Report) -> bool:
        """Removes answers that were passed on before from a report, in place. Returns whether to pass on the report.

        Raises `ValueError` if its lookup is finished.
        """
        if report.position in self.finished:
            msg = "a report about a lookup that already has its final report"
            raise ValueError(msg)
        if not report.final or report.position in self._outcomes:
            self._remove_repeated(report)
        if report.final:
            self._outcomes.pop(report.position, None)
            self.finished.add(report.position)
            self.complete &= report.complete
        return bool(report.final or report.answers)

    def _remove_repeated(self, report: pb.Report) -> None:
        outcomes = self._outcomes.setdefault(report.position, {})
        new = [answer for answer in report.answers if answer.institution_id not in outcomes]
        outcomes.update((answer.institution_id, answer.outcome) for answer in new)
        if len(new) < len(report.answers):
            del report.answers[:]
            report.answers.extend(new)
        if report.final:
            report.complete = _CONCLUSIVE.issuperset(outcomes.values())
