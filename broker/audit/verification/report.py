"""What is found out about one log."""

from dataclasses import dataclass, field
from typing import NoReturn

from broker.audit.verification.faults import AuditFault, FaultKind
from broker.audit.verification.sequence import Counts

_MOST_FAULTS = 100  # of a log; what is wrong in a thousand places is not understood better than in a hundred


class BrokenLogError(Exception):
    """The journal cannot be read on. The fault was noted."""


@dataclass(slots=True)
class LogReport:
    """What was found out about a log."""

    log: str
    """Its origin, or its folder if that is not known."""
    size: int = 0
    """Entries that the journal ends with."""
    counts: Counts = field(default_factory=Counts)
    faults: list[AuditFault] = field(default_factory=list)
    unfinished: int = 0
    """Bytes after the last whole commit: written just now, or left by a crash. They are no fault."""

    def note(self, kind: FaultKind, index: int | None, detail: str) -> None:
        """Notes a fault."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(AuditFault(self.log, index, kind, detail))

    def stop(self, kind: FaultKind, index: int | None, detail: str) -> NoReturn:
        """Notes a fault after which the log cannot be read on."""
        self.note(kind, index, detail)
        raise BrokenLogError
