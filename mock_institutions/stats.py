"""What an institution counts, exactly: its own view of how well its clients behave.

Everything is counted once per call, and per inquiry only where the question is about inquiries.
"""

from collections import Counter
from typing import NamedTuple

from mock_institutions.dialect import Inquiries
from mock_institutions.faults import FaultKind
from mock_institutions.findings import Findings
from mock_institutions.repeats import Repeats, question_keys


class Snapshot(NamedTuple):
    """The counters since the start or the last reset."""

    calls: int
    inquiries: int
    first_attempts: int
    retries: int
    duplicates: int
    rejected: int
    peak_concurrency: int
    concurrency_violations: int
    rate_violations: int
    batch_violations: int
    faults: dict[str, int]


class Stats:
    """Counters of one institution.

    `lifetime`: seconds for which an answer is good, so that asking again for the first time is a duplicate; None
    switches that count off.
    """

    def __init__(self, lifetime: float | None) -> None:
        self._lifetime = lifetime
        self.in_progress = 0
        self.reset()

    def reset(self) -> None:
        """Count anew. Calls in progress stay in progress."""
        self.calls = self.inquiries = self.first_attempts = self.retries = self.rejected = 0
        self.concurrency_violations = self.rate_violations = self.batch_violations = 0
        self.peak_concurrency = self.in_progress
        self.faults: Counter[str] = Counter()
        self._repeats = None if self._lifetime is None else Repeats(self._lifetime)

    def snapshot(self) -> Snapshot:
        """The counters, as they are now."""
        faults = dict(self.faults)
        return Snapshot(**{name: getattr(self, name) for name in Snapshot._fields if name != "faults"}, faults=faults)

    def enter(self) -> None:
        """A call has come in."""
        self.calls += 1
        self.in_progress += 1
        self.peak_concurrency = max(self.peak_concurrency, self.in_progress)

    def leave(self) -> None:
        """A call has ended, one way or another."""
        self.in_progress -= 1

    def asked(self, inquiries: int, attempt: int) -> None:
        """A call brought so many inquiries."""
        self.inquiries += inquiries
        if attempt > 1:
            self.retries += inquiries
        else:
            self.first_attempts += inquiries

    def fault(self, kind: FaultKind | str) -> None:
        """A call suffers a fault."""
        self.faults[kind] += 1

    def answered(self, inquiries: Inquiries, findings: Findings, *, attempt: int, now: float) -> None:
        """A call was answered as it should. What was refused got no fact, so asking again is no duplicate.

        `now`: monotonic seconds. The moment of the answer counts, so of two equal inquiries in progress at the same
        time the second to be answered is a duplicate; so is the second of two in one batch.
        """
        if self._repeats:
            self._repeats.add(question_keys(inquiries, findings), is_first_attempt=attempt <= 1, now=now)

    @property
    def duplicates(self) -> int:
        """First attempts at questions whose last answer was still good."""
        return self._repeats.count() if self._repeats else 0
