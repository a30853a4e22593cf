"""The open lookups of one batch: those without a final report. Pure: it uses neither gRPC nor time.

Rule 1: a lookup is identified by its position, not by its ref, because several lookups may have the same ref.
Rule 2: after a stream broke, only open lookups are sent again.
Rule 3: of an institution's answers to one lookup, the first one counts. With incremental delivery, the caller may
already have some answers to an open lookup. They are removed from the reports of the next call, and if one of them was
inconclusive, the lookup as a whole is not complete.
"""

from collections import defaultdict
from collections.abc import Sequence

from broker.client.errors import BrokerUnavailableError
from broker.model import CONCLUSIVE
from broker.v1 import investigation_pb2 as pb

_CONCLUSIVE: frozenset[int] = CONCLUSIVE


class OpenLookups:
    """State: the open lookups, those sent in the current call, and the institutions whose answers the caller has."""

    __slots__ = ("_asked", "_delivered", "_inconclusive", "_open", "_start")

    def __init__(self, start: int, lookups: Sequence[pb.Lookup]) -> None:
        """`start` is the position of the first lookup in the investigation."""
        self._start = start
        self._open = dict(enumerate(lookups))
        self._asked: list[int] = []
        self._delivered: defaultdict[int, set[str]] = defaultdict(set)
        self._inconclusive: set[int] = set()

    @property
    def open(self) -> int:
        """The number of lookups without a final report."""
        return len(self._open)

    def ask(self) -> list[pb.Lookup]:
        """The lookups to send in a new call."""
        self._asked = list(self._open)
        return list(self._open.values())

    def take(self, report: pb.Report) -> pb.Report:
        """Converts a report of the current call to a report of the investigation, in place.

        Raises `BrokerUnavailableError` if its lookup is not open, since then nothing in this stream can be trusted.
        """
        if report.position >= len(self._asked) or (index := self._asked[report.position]) not in self._open:
            raise BrokerUnavailableError("the broker reported on a lookup that was not open", "DATA_LOSS")
        report.position = self._start + index
        if not report.final or index in self._delivered:
            self._drop_delivered(report, index)
        if report.final:
            del self._open[index]
        return report

    def _drop_delivered(self, report: pb.Report, index: int) -> None:
        """Removes the answers that the caller already has, and records the others."""
        delivered = self._delivered[index]
        new = [answer for answer in report.answers if answer.institution_id not in delivered]
        delivered.update(answer.institution_id for answer in new)
        if any(answer.outcome not in _CONCLUSIVE for answer in new):
            self._inconclusive.add(index)
        if len(new) < len(report.answers):
            del report.answers[:]
            report.answers.extend(new)
        if report.final and index in self._inconclusive:
            report.complete = False
