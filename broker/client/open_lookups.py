"""The open lookups of one batch: those without a final report. Pure: it uses neither gRPC nor time.

After a stream broke, only open lookups are sent again, and answers that the caller already has are removed from the
reports of the next call (`core.planning.resume`).
"""

from collections.abc import Sequence

from broker.client.errors import BrokerUnavailableError
from broker.core.planning.resume import Resumption
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

_TIMED_OUT = pb.Answer(
    outcome="OUTCOME_TIMED_OUT",
    source="SOURCE_BROKER",
    problem=inquiry_pb2.Problem(
        reason="OUT_OF_TIME", message="the time limit was reached before all answers had arrived; ask again"
    ),
)


class OpenLookups:
    """State: the open lookups, those sent in the current call, and the answers that the caller already has."""

    __slots__ = ("_asked", "_open", "_resumption", "_start")

    def __init__(self, start: int, lookups: Sequence[pb.Lookup]) -> None:
        """`start` is the position of the first lookup in the investigation."""
        self._start = start
        self._open = dict(enumerate(lookups))
        self._asked: list[int] = []
        self._resumption = Resumption()

    @property
    def open(self) -> int:
        """The number of lookups without a final report."""
        return len(self._open)

    def ask(self) -> list[pb.Lookup]:
        """The lookups to send in a new call."""
        self._asked = list(self._open)
        return list(self._open.values())

    def time_out(self) -> list[pb.Report]:
        """Closes all open lookups. Returns their final reports: TIMED_OUT, without an institution."""
        late = [
            pb.Report(ref=lookup.ref, position=self._start + index, final=True, answers=[_TIMED_OUT])
            for index, lookup in self._open.items()
        ]
        self._open.clear()
        return late

    def take(self, report: pb.Report) -> pb.Report:
        """Converts a report of the current call to a report of the investigation, in place.

        Raises `BrokerUnavailableError` if its lookup is not open, since then nothing in this stream can be trusted.
        """
        if report.position >= len(self._asked) or (index := self._asked[report.position]) not in self._open:
            raise BrokerUnavailableError("the broker reported on a lookup that was not open", "DATA_LOSS")
        report.position = index
        self._resumption.take(report)
        if report.final:
            del self._open[index]
        report.position = self._start + index
        return report
