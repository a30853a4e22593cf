"""A store in memory: for tests, and for those who must keep nothing on disk. Lost on exit, never full."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from broker.core.wire import encoding, record
from broker.model import Source
from broker.store.base import CLOSE_TIMEOUT, Statements, StoreStatistics

_COMPACTION_PACE = (
    2  # records looked at for each one put: more than one, so that a store that grows is gone round as well
)


class MemoryStore:
    """A `Store` that is a dictionary, in the order in which its records were last looked at by compaction."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._records: OrderedDict[bytes, bytes] = OrderedDict()
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
        self._compact(_COMPACTION_PACE * len(statements.keys), now)
        cached = encoding.with_source(statements.segments, Source.CACHE)
        for key, entry, segment in zip(statements.keys, statements.entries(), cached, strict=True):
            self._records[key] = record.merge(self._records.get(key), [entry._replace(segment=segment)], now)

    def flush(self) -> bool:
        """See `Store`."""
        return True

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

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ARG002 - there is nothing to wait for
        """See `Store`."""
        self._records.clear()

    def _compact(self, count: int, now: int) -> None:
        """Removes expired records among the next few; in time, this goes round the whole store."""
        for _ in range(min(count, len(self._records))):
            key, held = self._records.popitem(last=False)
            if record.last_expiry(held) > now:
                self._records[key] = held
