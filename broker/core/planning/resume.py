"""What a broken stream had already said: a lookup's reports begun by one stream and finished by another.

Rules

1. A lookup is told by its position, never by its ref, since refs may repeat.
2. Only lookups without a final report are asked about again.
3. Of one institution's answers to one lookup, the first stands. Delivered in increments, some answers of an unfinished
   lookup were passed on already; they are taken out of what the second stream says about it.
4. A lookup is complete if every answer passed on is conclusive, whichever stream brought it.

Example, one lookup in increments:

    first stream    position 0: bank FOUND                                    then it breaks
    second stream   position 0: bank FOUND, vehicle NOT_FOUND, final          from the start again
    passed on       position 0: bank FOUND │ vehicle NOT_FOUND, final, complete
"""

from broker.model import CONCLUSIVE
from broker.v1 import investigation_pb2 as pb

_CONCLUSIVE: frozenset[int] = CONCLUSIVE


class Resumption:
    """State: the outcomes passed on about unfinished lookups, by institution; the lookups that are finished."""

    __slots__ = ("_outcomes", "complete", "finished")

    def __init__(self) -> None:
        self._outcomes: dict[int, dict[str, int]] = {}
        self.finished: set[int] = set()
        """Positions that have had their final report."""
        self.complete = True
        """Whether every finished lookup is complete."""

    def take(self, report: pb.Report) -> bool:
        """Takes out of a report, in place, what was passed on before. Returns whether anything of it is left.

        Raises `ValueError` if its lookup is finished: nothing more can be said about that.
        """
        if report.position in self.finished:
            msg = "a lookup is reported on that has had its final report"
            raise ValueError(msg)
        if not report.final or report.position in self._outcomes:
            self._sift(report)
        if report.final:
            self._outcomes.pop(report.position, None)
            self.finished.add(report.position)
            self.complete &= report.complete
        return bool(report.final or report.answers)

    def _sift(self, report: pb.Report) -> None:
        outcomes = self._outcomes.setdefault(report.position, {})
        fresh = [answer for answer in report.answers if answer.institution_id not in outcomes]
        outcomes.update((answer.institution_id, answer.outcome) for answer in fresh)
        if len(fresh) < len(report.answers):
            del report.answers[:]
            report.answers.extend(fresh)
        if report.final:
            report.complete = _CONCLUSIVE.issuperset(outcomes.values())
