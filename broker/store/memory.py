"""A store in memory: for tests, and for those who must keep nothing on disk. Lost on exit, never full."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from broker.core.wire import encoding, record
from broker.core.wire.record import Entry
from broker.model import Source
from broker.store.base import CLOSE_TIMEOUT, Statements, StoreStatistics

_COMPACTION_PACE = 2
"""Subjects looked at for each one put: more than one, so that a store that grows is gone round as well."""


class _Answers:
    """What is held of one subject: by institution, and as a record once it was read."""

    __slots__ = ("_entries", "_record", "last_expiry")

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._record: bytes | None = None
        self.last_expiry = 0

    def add(self, entry: Entry, now: int) -> None:
        """Adds an answer, unless that institution's answer held is newer (`record.supersedes`) and has not expired."""
        held = self._entries.get(entry.institution)
        if held is None or held.expires <= now or record.supersedes(entry.observed, held.observed, now):
            self._entries[entry.institution] = entry
            self._record = None
            self.last_expiry = max(self.last_expiry, entry.expires)

    def record(self, now: int) -> bytes:
        """All of it, encoded. Removes what has expired, unless that is all."""
        if self._record is None:
            fresh = {institution: entry for institution, entry in self._entries.items() if entry.expires > now}
            self._entries = fresh or self._entries
            self._record = record.pack(self._entries.values())
        return self._record


class MemoryStore:
    """A `Store` that is a dictionary, in the order in which its subjects were last looked at by compaction."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._subjects: OrderedDict[bytes, _Answers] = OrderedDict()
        self._hits = self._misses = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        now = int(self._clock())
        found = [None if (held := self._subjects.get(key)) is None else held.record(now) for key in keys]
        misses = found.count(None)
        self._hits += len(found) - misses
        self._misses += misses
        return found

    def put_many(self, statements: Statements) -> None:
        """See `Store`. Linear in the statements, however much is held of their subjects."""
        now = int(self._clock())
        self._compact(_COMPACTION_PACE * len(statements.keys), now)
        cached = encoding.with_source(statements.segments, Source.CACHE)
        for key, entry, segment in zip(statements.keys, statements.entries(), cached, strict=True):
            held = self._subjects.get(key)
            if held is None:
                held = self._subjects[key] = _Answers()
            held.add(entry._replace(segment=segment), now)

    def flush(self) -> bool:
        """See `Store`."""
        return True

    def statistics(self) -> StoreStatistics:
        """See `Store`."""
        now = int(self._clock())
        size = sum(len(held.record(now)) for held in self._subjects.values())
        return StoreStatistics(
            records=len(self._subjects),
            bytes_used=size,
            bytes_limit=size,
            pending=0,
            hits=self._hits,
            misses=self._misses,
            commits=0,
            commit_seconds=0.0,
            dropped=0,
            damaged=0,
            older_key_reads=0,
            healthy=True,
        )

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ARG002 - there is nothing to wait for
        """See `Store`."""
        self._subjects.clear()

    def _compact(self, count: int, now: int) -> None:
        """Removes expired subjects among the next few; in time, this goes round the whole store."""
        for _ in range(min(count, len(self._subjects))):
            key, held = self._subjects.popitem(last=False)
            if held.last_expiry > now:
                self._subjects[key] = held
