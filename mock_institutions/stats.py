"""The counters of an institution, with which tests and benchmarks verify the behaviour of its client. They are exact.

Counting is done per call. Only duplicates require work per inquiry.
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

    `lifetime`: the seconds for which an answer is valid. Asking again within that time, other than in a retry, is a
    duplicate. None disables the count of duplicates.
    """

    def __init__(self, lifetime: float | None) -> None:
        self._lifetime = lifetime
        self.in_progress = 0
        self.reset()

    def reset(self) -> None:
        """Resets the counters. Calls in progress are still in progress."""
        self.calls = self.inquiries = self.first_attempts = self.retries = self.rejected = 0
        self.concurrency_violations = self.rate_violations = self.batch_violations = 0
        self.peak_concurrency = self.in_progress
        self.faults: Counter[str] = Counter()
        self._repeats = None if self._lifetime is None else Repeats(self._lifetime)

    def snapshot(self) -> Snapshot:
        """The current counters."""
        faults = dict(self.faults)
        return Snapshot(**{name: getattr(self, name) for name in Snapshot._fields if name != "faults"}, faults=faults)

    def enter(self) -> None:
        """Counts a call that has arrived."""
        self.calls += 1
        self.in_progress += 1
        self.peak_concurrency = max(self.peak_concurrency, self.in_progress)

    def leave(self) -> None:
        """Counts a call that has ended."""
        self.in_progress -= 1

    def asked(self, inquiries: int, attempt: int) -> None:
        """Counts the inquiries of a call."""
        self.inquiries += inquiries
        if attempt > 1:
            self.retries += inquiries
        else:
            self.first_attempts += inquiries

    def fault(self, kind: FaultKind | str) -> None:
        """Counts a call with a fault."""
        self.faults[kind] += 1

    def answered(self, inquiries: Inquiries, findings: Findings, *, attempt: int, now: float) -> None:
        """Counts a call that was answered correctly. Asking again about a refused inquiry is not a duplicate.

        `now` is in monotonic seconds. The time of the answer counts: of two equal inquiries in progress, the one that
        is answered second is a duplicate, and so is the second one in a batch.
        """
        if self._repeats:
            self._repeats.add(question_keys(inquiries, findings), is_first_attempt=attempt <= 1, now=now)

    @property
    def duplicates(self) -> int:
        """First attempts at questions whose last answer was still valid."""
        return self._repeats.count() if self._repeats else 0
