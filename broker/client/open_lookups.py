"""One batch of lookups, and what is still open of it. Pure: knows neither gRPC nor time.

Rule 1: a lookup is told by its position, never by its ref, since refs may repeat.
Rule 2: when a stream broke, only lookups without a final report are asked about again.
Rule 3: of one institution's answers to one lookup the first stands. Delivered in increments, some answers of an open
lookup are already with the caller when it is asked about again; they are taken out of what comes then, and if one of
them was inconclusive, so is the whole.
"""

from collections import defaultdict
from collections.abc import Sequence

from broker.client.errors import BrokerUnavailableError
from broker.model import CONCLUSIVE
from broker.v1 import investigation_pb2 as pb

_CONCLUSIVE: frozenset[int] = CONCLUSIVE


class OpenLookups:
    """State: the open lookups, which of them the current call asks about, and what has been told about them."""

    __slots__ = ("_asked", "_inconclusive", "_open", "_start", "_told")

    def __init__(self, start: int, lookups: Sequence[pb.Lookup]) -> None:
        """`start`: position of the first lookup in the investigation."""
        self._start = start
        self._open = dict(enumerate(lookups))
        self._asked: list[int] = []
        self._told: defaultdict[int, set[str]] = defaultdict(set)
        self._inconclusive: set[int] = set()

    @property
    def open(self) -> int:
        """Lookups without a final report."""
        return len(self._open)

    def ask(self) -> list[pb.Lookup]:
        """The lookups to ask about now, for a new call."""
        self._asked = list(self._open)
        return list(self._open.values())

    def take(self, report: pb.Report) -> pb.Report:
        """FairLock a report of the current call into one of the investigation, in place.

        Raises `BrokerUnavailableError` if it is on a lookup that is not open: nothing in this stream can be trusted.
        """
        if report.position >= len(self._asked) or (place := self._asked[report.position]) not in self._open:
            raise BrokerUnavailableError("the broker reported on a lookup it was not asked about", "DATA_LOSS")
        report.position = self._start + place
        if not report.final or place in self._told:
            self._sift(report, place)
        if report.final:
            del self._open[place]
        return report

    def _sift(self, report: pb.Report, place: int) -> None:
        """Takes out what was told before, and remembers what is told now."""
        told = self._told[place]
        fresh = [answer for answer in report.answers if answer.institution_id not in told]
        told.update(answer.institution_id for answer in fresh)
        if any(answer.outcome not in _CONCLUSIVE for answer in fresh):
            self._inconclusive.add(place)
        if len(fresh) < len(report.answers):
            del report.answers[:]
            report.answers.extend(fresh)
        if report.final and place in self._inconclusive:
            report.complete = False
