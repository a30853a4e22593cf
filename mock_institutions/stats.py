"""What an institution counts, exactly: its own view of how well its clients behave.

Everything is counted once per call, and per inquiry only where the question is about inquiries.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

from mock_institutions.dialect import Inquiries
from mock_institutions.faults import FaultKind


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
        self.calls = self.inquiries = self.first_attempts = self.retries = self.duplicates = self.rejected = 0
        self.concurrency_violations = self.rate_violations = self.batch_violations = 0
        self.peak_concurrency = self.in_progress
        self.faults: Counter[str] = Counter()
        self._answered: dict[int, float] = {}
        self._sweep_at = 0.0

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

    def answered(self, inquiries: Inquiries, refused: Sequence[int], *, attempt: int, now: float) -> None:
        """A call was answered as it should. The rows in `refused` got no fact, so asking again is no duplicate.

        `now`: monotonic seconds. The moment of the answer counts, so of two equal inquiries in progress at the same
        time the second to be answered is a duplicate; so is the second of two in one batch.
        """
        if self._lifetime is None:
            return
        # 64-bit hashes: among 10^8 answers remembered, a false duplicate comes once in 2 x 10^11 inquiries.
        keys = list(map(hash, zip(inquiries.subject_types, inquiries.numbers, inquiries.names, strict=True)))
        for row in reversed(refused):
            del keys[row]
        if attempt <= 1:
            self._count_duplicates(keys, now - self._lifetime)
        self._answered.update(zip(keys, repeat(now)))
        self._sweep(now, self._lifetime)

    def _count_duplicates(self, keys: list[int], horizon: float) -> None:
        distinct = set(keys)
        self.duplicates += len(keys) - len(distinct)
        known = [answered for answered in map(self._answered.get, distinct) if answered is not None]
        self.duplicates += sum(answered > horizon for answered in known)

    def _sweep(self, now: float, lifetime: float) -> None:
        """Forget what is out of date, once per lifetime."""
        if now < self._sweep_at:
            return
        horizon = now - lifetime
        self._answered = {key: answered for key, answered in self._answered.items() if answered > horizon}
        self._sweep_at = now + lifetime
