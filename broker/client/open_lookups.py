"""One batch of lookups, and what is still open of it. Pure: knows neither gRPC nor time.

What a broken stream had already said is not said again: see `core.planning.resume`.
"""

from collections.abc import Sequence

from broker.client.errors import BrokerUnavailableError
from broker.core.planning.resume import Resumption
from broker.v1 import investigation_pb2 as pb


class OpenLookups:
    """State: the open lookups, which of them the current call asks about, and what has been passed on about them."""

    __slots__ = ("_asked", "_open", "_resumption", "_start")

    def __init__(self, start: int, lookups: Sequence[pb.Lookup]) -> None:
        """`start`: position of the first lookup in the investigation."""
        self._start = start
        self._open = dict(enumerate(lookups))
        self._asked: list[int] = []
        self._resumption = Resumption()

    @property
    def open(self) -> int:
        """Lookups without a final report."""
        return len(self._open)

    def ask(self) -> list[pb.Lookup]:
        """The lookups to ask about now, for a new call."""
        self._asked = list(self._open)
        return list(self._open.values())

    def take(self, report: pb.Report) -> pb.Report:
        """Turns a report of the current call into one of the investigation, in place.

        Raises `BrokerUnavailableError` if it is on a lookup that is not open: nothing in this stream can be trusted.
        """
        if report.position >= len(self._asked) or (index := self._asked[report.position]) not in self._open:
            raise BrokerUnavailableError("the broker reported on a lookup it was not asked about", "DATA_LOSS")
        report.position = index
        self._resumption.take(report)
        if report.final:
            del self._open[index]
        report.position = self._start + index
        return report
