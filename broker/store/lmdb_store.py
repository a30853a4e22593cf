"""The embedded store: one LMDB file, one writer thread in each worker, group commits.

A put adds to a memtable and returns (store.writer); a read merges what is on disk (store.disk) with the memtables.
Several workers share the file. An answer that one of them has put is visible to the others once it is committed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from broker.store.base import CLOSE_TIMEOUT, ProgressCallback, Statements, StoreStatistics, no_progress
from broker.store.disk import Disk
from broker.store.memtable import lay_over
from broker.store.writer import StoreWriter


class LmdbStore:
    """A `Store` in an LMDB file. All public methods belong to one thread.

    State: the file, its writer, and totals for `statistics`.
    """

    def __init__(
        self,
        path: Path,
        *,
        master_keys: Sequence[bytes],
        map_size: int,
        clock: Callable[[], float],
        progress: ProgressCallback = no_progress,
    ) -> None:
        """Opens or creates the cache in folder `path`. `clock` gives seconds since the epoch. Raises `StoreError`.

        `master_keys`: the first seals, all open.

        `map_size`, in bytes, bounds the file; it occupies no disk space before it is filled. `progress` is called while
        the cache is opened: an index that was lost is made again from the log, a million subjects a second.
        """
        self._clock = clock
        self._map_size = map_size
        self._disk = Disk(path, master_keys=master_keys, map_size=map_size, progress=progress)
        self._writer = StoreWriter(self._disk, path, clock)
        self._hits = self._misses = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        memtables = self._writer.memtables()
        records = self._disk.read(keys)
        lay_over(memtables, records, keys, int(self._clock()))
        misses = records.count(None)
        self._hits += len(records) - misses
        self._misses += misses
        return records

    def put_many(self, statements: Statements) -> None:
        """See `Store`."""
        if statements.keys:
            self._writer.put(statements)

    def flush(self) -> bool:
        """See `Store`."""
        return self._writer.flush()

    def statistics(self) -> StoreStatistics:
        """See `Store`."""
        records, bytes_used = self._disk.measure()
        totals = self._writer.totals
        return StoreStatistics(
            records=records,
            bytes_used=bytes_used,
            bytes_limit=self._map_size,
            pending=self._writer.pending(),
            hits=self._hits,
            misses=self._misses,
            commits=totals.commits,
            commit_seconds=totals.commit_seconds,
            dropped=totals.dropped,
            damaged=self._disk.damaged,
            older_key_reads=self._disk.older_key_reads,
            healthy=totals.healthy,
        )

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """See `Store`."""
        self._writer.close(timeout)
