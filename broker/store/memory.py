"""A store in memory: for tests, and for those who must keep nothing on disk. Lost on exit, never full."""

from collections.abc import Callable, Sequence

from broker.core import record, wire
from broker.model import Source
from broker.store.base import Statements, StoreStatistics


class MemoryStore:
    """A `Store` that is a dictionary."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._records: dict[bytes, bytes] = {}
        self._hits = self._misses = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        found = [self._records.get(key) for key in keys]
        misses = found.count(None)
        self._hits += len(found) - misses
        self._misses += misses
        return found

    def put_many(self, statements: Statements) -> None:
        """See `Store`."""
        now = int(self._clock())
        cached = wire.resource(statements.segments, Source.CACHE)
        for key, entry, segment in zip(statements.keys, statements.entries(), cached, strict=True):
            self._records[key] = record.merge(self._records.get(key), [entry._replace(segment=segment)], now)

    def flush(self) -> None:
        """See `Store`."""

    def statistics(self) -> StoreStatistics:
        """See `Store`."""
        size = sum(map(len, self._records.values()))
        return StoreStatistics(
            records=len(self._records),
            bytes_used=size,
            bytes_limit=size,
            pending=0,
            hits=self._hits,
            misses=self._misses,
            commits=0,
            commit_seconds=0.0,
            dropped=0,
            damaged=0,
            healthy=True,
        )

    def close(self) -> None:
        """See `Store`."""
        self._records.clear()
