"""What a request's stream has said: counted as it is put together, and corrected if not all of it was sent.

Counting happens a batch at a time where answers are known as columns. If a stream ends early (its caller left, did not
read, or the broker failed), the answers that were counted and never sent are taken off again, by reading those reports;
so the metrics count what courts were told, whatever became of the stream.
"""

from collections.abc import Iterable, Mapping, Sequence

from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NO_TRANSCRIPT, Transcript
from broker.v1 import investigation_pb2 as pb


class Account:
    """State: answers by institution, source and outcome; lookups reported on; INVALID ones; whether all is complete."""

    def __init__(self, columns: Mapping[str, int], transcript: Transcript = NO_TRANSCRIPT) -> None:
        """`columns`: of the institutions asked, by id. `transcript` takes note of each answer, sent or not."""
        self._columns = columns
        self.transcript = transcript
        self.tally = Tally(len(columns))
        self.reported = 0
        """Lookups that have had their final report."""
        self.invalid = 0
        """Those of them about which nobody was asked."""
        self.complete = True
        """Whether every answer given is conclusive."""

    def add(self, reports: Sequence[pb.Report]) -> None:
        """Counts the answers of reports that came encoded."""
        self.transcript.reported(reports, self._columns)
        self._count(reports, 1)

    def take_off(self, unsent: bytes) -> None:
        """Uncounts an encoded `InvestigateResponse` that was counted and never sent."""
        reports = pb.InvestigateResponse.FromString(unsent).reports
        self._count(reports, -1)
        for report in reports:
            self.reported -= report.final
            self.invalid -= report.final and _is_invalid(report)

    def _count(self, reports: Iterable[pb.Report], step: int) -> None:
        counts = self.tally.counts
        for report in reports:
            for answer in report.answers:
                if answer.institution_id:
                    counts[self._columns[answer.institution_id], answer.source, answer.outcome] += step


def _is_invalid(report: pb.Report) -> bool:
    """Whether nobody was asked: the broker's own answer names no institution."""
    return any(not answer.institution_id for answer in report.answers)
