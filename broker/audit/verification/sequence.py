"""Whether the entries of a log follow one another as they must. Pure: entries come in their order.

Every end refers to an admission before it that has not ended yet. Times do not go back, unless the log was started
again. Entries are deleted only up to one that was there.
"""

from dataclasses import dataclass, field

from broker.audit.entry import Admitted, AuditEntry, Deleted, Ended, Refused, Started
from broker.audit.verification.faults import FaultKind

_TOLERANCE = 60_000  # ms by which a clock may be set back while the broker runs, as NTP does


@dataclass(slots=True)
class Counts:
    """What a log is about."""

    entries: int = 0
    admitted: int = 0
    refused: int = 0
    inquiries: int = 0
    """Answers of all requests that have ended."""
    unended: int = 0
    """Requests whose end is not recorded: in progress, or lost with the process."""


@dataclass(slots=True)
class SequenceCheck:
    """State: what was admitted and has not ended, the time of the last entry, and counts."""

    kept_from: int = 0
    """Index of the first entry that is there: what was admitted before is not known."""
    counts: Counts = field(default_factory=Counts)
    _open: set[int] = field(default_factory=set)
    _time: int = 0
    deleted_before: int = 0
    """Up to where entries may be missing."""

    def take(self, index: int, entry: AuditEntry) -> tuple[FaultKind, str] | None:
        """What is wrong with the next entry; None if nothing is."""
        self.counts.entries += 1
        is_restart = isinstance(entry, Started)
        went_back = entry.time < self._time - _TOLERANCE and not is_restart
        before, self._time = self._time, max(entry.time, 0 if is_restart else self._time)
        if went_back:
            return FaultKind.SEQUENCE, f"it is {(before - entry.time) / 1000:g} s older than an entry before it"
        match entry:
            case Admitted():
                self.counts.admitted += 1
                self._open.add(index)
            case Refused():
                self.counts.refused += 1
            case Ended():
                return self._end(index, entry)
            case Deleted():
                return self._delete(index, entry)
        return None

    def end(self) -> Counts:
        """The counts, after the last entry."""
        self.counts.unended = len(self._open)
        return self.counts

    def _end(self, index: int, entry: Ended) -> tuple[FaultKind, str] | None:
        self.counts.inquiries += sum(entry.outcomes.values())
        if entry.admitted in self._open:
            self._open.discard(entry.admitted)
            return None
        if entry.admitted < self.kept_from:
            return None
        known = "which is no admission that is open" if entry.admitted < index else "which comes after it"
        return FaultKind.SEQUENCE, f"it ends entry {entry.admitted}, {known}"

    def _delete(self, index: int, entry: Deleted) -> tuple[FaultKind, str] | None:
        if not self.deleted_before <= entry.before <= index:
            return FaultKind.SEQUENCE, f"it says that entries before {entry.before} are deleted, which cannot be"
        self.deleted_before = entry.before
        return None
