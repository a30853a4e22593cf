"""An audit log that is written: whoever records an entry waits until it is durable, and all who wait share one commit.

A thread of its own writes, so that the event loop never waits for the disk. Once anything could not be written, nothing
is recorded any more until the log is opened again: what is not recorded must not happen.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from broker.audit.entry import AuditEntry, Started, encode_entry
from broker.audit.files import DiskFiles, Files
from broker.audit.journal import MAX_FILE, Journal
from broker.audit.keys import AuditKeys
from broker.audit.publication import INTERVAL, Publisher, Unpublished, publish
from broker.audit.recovery import recover
from broker.audit.retention import Retention
from broker.audit.sealing import Sealer
from broker.audit.sequencer import Recorded, SealedEntry, Sequencer, Unrecorded
from broker.audit.tlog.note import NoteSigner
from broker.errors import AuditError, origin

log = logging.getLogger(__name__)

VERIFIER_KEY = "verifier-key"
"""The file with the key that verifies checkpoints. It is a convenience: who verifies must get the key another way."""


@dataclass(slots=True)
class AuditStatistics:
    """Since the log was opened."""

    entries: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    """Of writing durably."""
    healthy: bool = True
    """Whether entries can be recorded."""


class _Waiting(NamedTuple):
    """Somebody who waits for entries to be durable."""

    entries: Sequence[SealedEntry]
    """Which are recorded in one commit, one after the other."""
    loop: asyncio.AbstractEventLoop | None
    """None: a thread waits."""
    future: "asyncio.Future[Recorded] | Future[Recorded]"


_Settled = tuple["asyncio.Future[Recorded] | Future[Recorded]", Recorded | AuditError]


class LogLimits(NamedTuple):
    """When a log does what it does now and then."""

    journal_file: int = MAX_FILE
    """Bytes after which the journal goes on in a new file."""
    publish_interval: float = INTERVAL
    """Seconds between two publications."""


_DEFAULT_LIMITS = LogLimits()


class AuditLog:
    """A log in a folder. State: what waits to be recorded, why nothing can be recorded any more, and statistics."""

    def __init__(self, files: Files, sequencer: Sequencer, journal: Journal, publish_interval: float) -> None:
        """Use `open`."""
        self.statistics = AuditStatistics()
        self.on_failure: Callable[[], None] = _nothing
        """Called once, on a thread of the log's, when nothing can be recorded any more."""
        self._files = files
        self._sequencer = sequencer
        self._journal = journal
        self._failure = ""
        self._retention: Retention | None = None
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._publisher = Publisher(files, on_failure=self._fail, interval=publish_interval)
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        origin: str,
        keys: AuditKeys,
        *,
        version: str,
        patience: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> "AuditLog":
        """Continues the log in a folder, or begins one, and records that it was started.

        `origin`: the name of the log (C2SP tlog-checkpoint). `version`: the broker's. `patience`: seconds for another
        process to leave it. `clock`: seconds since the epoch. Raises `AuditError`.
        """
        signer = NoteSigner(origin, keys.signing_key())
        files = DiskFiles(folder, patience=patience)
        try:
            return open_log(files, signer, keys.sealer(), version=version, clock=clock)
        except (OSError, AuditError) as error:
            files.close()
            reason = f"cannot be used ({error.strerror})" if isinstance(error, OSError) else str(error)
            msg = f"audit log {folder}: {reason}"
            raise AuditError(msg) from None

    async def append(
        self, entry: AuditEntry, material: Sequence[bytes | memoryview] = (), *, proof: bool = True
    ) -> Recorded:
        """Records an entry, with the material to be sealed beside it. It is durable on return.

        The log sets the entry's time, and seals texts that must not stand in the clear (`audit.entry.withhold`).
        `proof`: whether its proof is wanted. To be called on the asyncio side. Raises `AuditError` if it could not be
        written, and ever after; `ValueError` if the entry is too large. A caller that is cancelled leaves the entry.
        """
        return await self.append_all([Unrecorded(entry, material, proof)])

    async def append_all(self, entries: Sequence[Unrecorded]) -> Recorded:
        """Records entries in one commit, one just after the other; returns the last. See `append`."""
        if self._failure:
            raise AuditError(self._failure)
        # Here and not on the writer's thread: each long step of a cipher or a hash releases Python's lock, and that
        # thread would wait for a busy event loop to give it back, up to five milliseconds each time.
        sealed = list(map(self._sequencer.seal, entries))
        for each in sealed:
            encode_entry(
                each.entry
            )  # tells this caller if it is too large; on the writer's thread it would end the log
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Recorded] = loop.create_future()
        self._queue.put(_Waiting(sealed, loop, future))
        return await future

    def record(self, entry: AuditEntry) -> Recorded:
        """The same as `append` for a thread, which waits. Raises `AuditError`."""
        if self._failure:
            raise AuditError(self._failure)
        future: Future[Recorded] = Future()
        self._queue.put(_Waiting([self._sequencer.seal(Unrecorded(entry, (), proof=False))], None, future))
        return future.result()

    def keep_for(self, days: int, clock: Callable[[], float] = time.time) -> None:
        """Begins to delete entries that are older than so many days."""
        self._retention = Retention(self._files, days, record=self.record, rotate=self._journal.rotate, clock=clock)
        self._retention.start()

    def close(self) -> None:
        """Records what waits, publishes it, and ends. Nothing can be recorded afterwards."""
        if self._thread.is_alive():
            if self._retention is not None:
                self._retention.close()
            self._queue.put(None)
            self._thread.join()
            self._publisher.close()
            self._journal.close()
            self._files.close()

    # The thread.

    def _run(self) -> None:
        while batch := self._take():
            try:
                if not self._failure:
                    self._commit(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                self._fail(error)
            if self._failure:
                _resolve(batch, [AuditError(self._failure)] * len(batch))
        self._failure = self._failure or "the audit log is closed"

    def _take(self) -> list[_Waiting]:
        """All that wait, as soon as there are any; none when the log is closed."""
        batch: list[_Waiting] = []
        waiting = self._queue.get()
        while waiting is not None:
            batch.append(waiting)
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        entries = [entry for each in batch for entry in each.entries]
        recorded, seconds = commit(self._sequencer, self._journal, self._publisher.offer, entries)
        ends = accumulate(len(each.entries) for each in batch)
        self.statistics.entries += len(recorded)
        self.statistics.commits += 1
        self.statistics.commit_seconds += seconds
        _resolve(batch, [recorded[end - 1] for end in ends])

    def _fail(self, error: BaseException) -> None:
        """Ends the recording for good. Called in either thread."""
        reason = f"{error.strerror}" if isinstance(error, OSError) else origin(error)
        if not self._failure:
            log.error(
                "audit log: nothing can be recorded any more: %s; new requests are refused until a restart", reason
            )
        self._failure = f"the audit log cannot be written ({reason})"
        if self.statistics.healthy:
            self.statistics.healthy = False
            self.on_failure()


def _nothing() -> None:
    """Nobody wants to know."""


def open_log(
    files: Files,
    signer: NoteSigner,
    sealer: Sealer,
    *,
    version: str,
    clock: Callable[[], float] = time.time,
    limits: LogLimits = _DEFAULT_LIMITS,
) -> AuditLog:
    """See `AuditLog.open`. Raises `OSError`, too."""
    recovered = recover(files, signer.key)
    if recovered.cut:
        log.warning("audit log %s: cut off %d bytes, which were never acknowledged", signer.key.name, recovered.cut)
    sequencer = Sequencer(recovered.head, signer, sealer, clock)
    journal = Journal(files, path=recovered.path, size=recovered.end, max_file=limits.journal_file)
    started = Started(version=version, cut_bytes=recovered.cut, sealed_under=sealer.commitment())
    try:
        files.replace([(VERIFIER_KEY, f"{signer.key}\n".encode())])
        sealed = sequencer.seal(Unrecorded(started, (), proof=False))
        commit(sequencer, journal, lambda unpublished: publish(files, unpublished), [sealed])
    except OSError:
        journal.close()
        raise
    return AuditLog(files, sequencer, journal, limits.publish_interval)


def commit(
    sequencer: Sequencer, journal: Journal, offer: Callable[[Unpublished], None], batch: Sequence[SealedEntry]
) -> tuple[list[Recorded], float]:
    """Records a batch in one commit. `offer` takes what is to be published. Returns the seconds of writing, too."""
    head = sequencer.head() if journal.is_full() else None
    sequenced = sequencer.add(batch)
    began = time.perf_counter()
    journal.write(head, sequenced.pieces, sequenced.checkpoint)
    seconds = time.perf_counter() - began
    offer(Unpublished(sequenced.whole, sequencer.edge(), sequenced.checkpoint))
    return sequenced.recorded, seconds


def _resolve(batch: Sequence[_Waiting], results: Sequence[Recorded | AuditError]) -> None:
    """Tells all who wait, with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Settled]] = {}
    for waiting, result in zip(batch, results, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.future, result))
    for loop, settled in by_loop.items():
        if loop is None:
            _settle(settled)
            continue
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: Sequence[_Settled]) -> None:
    for future, result in settled:
        if future.done():  # whoever waited was cancelled
            continue
        if isinstance(result, AuditError):
            future.set_exception(result)
        else:
            future.set_result(result)
