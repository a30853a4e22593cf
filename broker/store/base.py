"""The interface of a cache of answers. No module outside the store depends on which implementation it uses.

A *record* (core.wire.record) holds all answers about one subject, under the subject's key. Reads return whole records;
writes add answers of single institutions, and the store merges them. Rules of every store, checked by one contract
suite (tests/store/test_store_contract.py):

1. What was put can be read at once by the same process, whether or not it is on disk yet.
2. A read returns only what was put under that key. A record that cannot be read is reported as absent.
3. Expired answers may be returned (the reader checks), and are removed in time.
4. A caller never gets an error of the store: without it, more inquiries have to be made, and all answers stay right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.core.wire.record import Entry

CLOSE_TIMEOUT = 10.0
"""Seconds that a store may take to close: less than a worker is given to stop."""


ProgressCallback = Callable[[], None]
"""Called repeatedly while a long operation makes progress: every second or so, on a machine that is not busy."""


def no_progress() -> None:
    """A `ProgressCallback` that does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Answers of one institution worth keeping: aligned columns. Times in seconds since the epoch."""

    institution: bytes
    """`record.institution_key` of its id."""
    keys: Sequence[bytes]
    outcomes: bytes
    observed: Sequence[int]
    expires: Sequence[int]
    segments: Sequence[bytes]
    """Encoded answers (core.wire), whatever their source."""

    def pick(self, indices: Sequence[int]) -> "Statements":
        """Some of the statements."""
        return Statements(
            institution=self.institution,
            keys=[self.keys[i] for i in indices],
            outcomes=bytes([self.outcomes[i] for i in indices]),
            observed=[self.observed[i] for i in indices],
            expires=[self.expires[i] for i in indices],
            segments=[self.segments[i] for i in indices],
        )

    def entries(self) -> list[Entry]:
        """The same, one `Entry` each."""
        return [
            Entry(self.institution, *columns)
            for columns in zip(self.outcomes, self.observed, self.expires, self.segments, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """A store at one moment, and its totals since the start."""

    records: int
    """Subjects held."""
    bytes_used: int
    """On disk or in memory."""
    bytes_limit: int
    pending: int
    """Subjects with answers not yet committed; one that is asked about twice within moments may count twice."""
    hits: int
    """Subjects found when read."""
    misses: int
    """Subjects not found when read."""
    commits: int
    commit_seconds: float
    """Time spent in commits, in all."""
    dropped: int
    """Answers not kept because the store was full or failing."""
    damaged: int
    """Records that could not be read back and were treated as absent."""
    older_key_reads: int
    """Records read that an older key than the present one has sealed."""
    healthy: bool
    """False while answers are being dropped, or kept waiting for another process."""


class Store(Protocol):
    """Keeps answers."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The records under these keys, aligned with them; None where there is none. Does not block on writers."""

    def put_many(self, statements: Statements) -> None:
        """Adds answers. Returns at once; writing happens elsewhere."""

    def flush(self) -> bool:
        """Blocks until everything put so far is committed, and returns True.

        Returns False as soon as some of it was dropped, or could not be committed yet and is still tried.
        """

    def statistics(self) -> StoreStatistics:
        """The figures for metrics and tests."""

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Commits what is pending, for `timeout` seconds at most, and releases all files. Further calls are errors.

        The number of answers that were not committed is logged.
        """
