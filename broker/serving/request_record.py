"""What the audit log says of one request: that it was admitted, refused, or has ended.

Nothing is asked or answered before the first entry is durable, and no summary is sent before the last. A request that
the cache answers at once takes one commit for both: neither its reports nor its summary have been sent by then.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from broker.audit.entry import BEFORE, Admitted, Ended, Refused
from broker.audit.log import AuditLog
from broker.audit.sequencer import Recorded, Unrecorded
from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NO_TRANSCRIPT, Transcript
from broker.errors import AuditError, CallerError, RefusedError, UnrecordedError
from broker.investigation.context import Write
from broker.investigation.recorded_transcript import RecordedTranscript
from broker.serving.status import status_of

log = logging.getLogger(__name__)

Facts = dict[str, Any]
"""What is known of a request, by the names of an entry's fields."""


class Recorder:
    """Writes the entries of requests. State: those for which nobody waits."""

    def __init__(self, log_: AuditLog | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Without a log, nothing is recorded. `clock`: seconds since the epoch."""
        self.log = log_
        self.clock = clock
        self._unawaited: set[asyncio.Task[None]] = set()

    def transcript(self) -> Transcript:
        """What takes note of the answers to one request."""
        return RecordedTranscript() if self.log else NO_TRANSCRIPT

    async def record(self, entries: Sequence[Unrecorded]) -> Recorded:
        """Records entries in one commit; returns the last. Raises `UnrecordedError` if that is not possible."""
        if self.log is None:
            raise UnrecordedError
        try:
            return await self.log.append_all(entries)
        except AuditError:
            raise UnrecordedError from None

    def record_later(self, recording: Coroutine[Any, Any, object]) -> None:
        """Has something recorded for which nobody waits."""

        async def record() -> None:
            try:
                await recording
            except UnrecordedError:
                log.error("the end of a request is not recorded")

        task = asyncio.get_running_loop().create_task(record())
        self._unawaited.add(task)
        task.add_done_callback(self._unawaited.discard)

    async def wait_recorded(self) -> None:
        """Waits until everything is in the log."""
        while self._unawaited:
            await asyncio.wait(list(self._unawaited))


class RequestRecord:
    """The record of one request. State: its entries, and the digest of what has been sent."""

    def __init__(self, recorder: Recorder) -> None:
        self.transcript = recorder.transcript()
        self._recorder = recorder
        self._admission: Unrecorded | None = None
        self._admitted: asyncio.Future[Recorded] | None = None
        self._receipt: Recorded | None = None
        self._reply = hashlib.sha256()
        self._began = recorder.clock()
        self._sent: tuple[Tally | None, int] = None, 0

    @property
    def is_kept(self) -> bool:
        """Whether there is a log."""
        return self._recorder.log is not None

    def admit(self, facts: Facts, inquired: Sequence[bytes | memoryview]) -> None:
        """Takes note that the request may be served. `inquired`: whom it is about, to be sealed."""
        self._admission = Unrecorded(Admitted(**facts), inquired, proof=False)

    async def clear(self) -> None:
        """Records that the request was admitted, before anybody is asked and anything is answered.

        Raises `UnrecordedError` if it cannot be recorded.
        """
        if self._admission is not None:
            admission, self._admission = self._admission, None
            self._admitted = asyncio.ensure_future(self._recorder.record([admission]))
        if self._admitted is not None:
            await asyncio.shield(self._admitted)  # a caller that leaves meanwhile does not take it back

    def writing(self, write: Write) -> Write:
        """The same as `write`, but after `clear`, and what is written goes into the digest of the reply, too."""
        if not self.is_kept:
            return write

        async def hashing(message: bytes) -> None:
            if self._receipt is None:
                await self.clear()
                self._reply.update(message)
            await write(message)

        return hashing

    async def answered(self, reports: bytes, tally: Tally, count: int) -> None:
        """Records that the request was admitted and has been answered, if nobody was asked: both in one commit.

        `reports`: all of them, none of which has been sent; so many. Raises `UnrecordedError` if it cannot be recorded.
        """
        if self._admission is not None:
            self._receipt = await self.end(reports, tally, count)

    async def end(self, last: bytes, tally: Tally, count: int) -> Recorded | None:
        """Records that the request has been answered, unless `answered` has; `last`: the reports not sent yet.

        Raises `UnrecordedError` if it cannot be recorded.
        """
        if not self.is_kept or self._receipt is not None:
            return self._receipt
        self._reply.update(last)
        entries, admitted = [], BEFORE
        if self._admission is not None:
            entries.append(self._admission)
        elif self._admitted is not None:
            admitted = self._admitted.result().index
        ended = self._ended(admitted, "OK", tally, count)
        self._admission = self._admitted = None
        return await self._recorder.record([*entries, Unrecorded(ended, self.transcript.encoded(), proof=True)])

    def count(self, tally: Tally, reports: int) -> None:
        """Takes note of what has been sent."""
        self._sent = tally, reports

    def break_off(self, status: str) -> None:
        """Has recorded that an admitted request has ended early, if it has not ended yet."""
        if self._admitted is not None:
            self._recorder.record_later(self._record_early_end(self._admitted, status))
            self._admitted = None

    async def _record_early_end(self, admitted: "asyncio.Future[Recorded]", status: str) -> None:
        ended = self._ended((await admitted).index, status, *self._sent)
        await self._recorder.record([Unrecorded(ended, self.transcript.encoded(), proof=False)])

    async def refuse(self, error: CallerError, facts: Facts) -> CallerError:
        """Records that the caller was refused. Returns what it is told: that it was, or that this cannot be recorded.

        Requests that are invalid, or come when the broker is busy, are not recorded: they are no attempt at anything.
        """
        if not self.is_kept or not isinstance(error, RefusedError):
            return error
        entry = Refused(**facts, status=status_of(error)[0].name, reason=error.reason, rule=error.rule)
        try:
            await self._recorder.record([Unrecorded(entry, (), proof=False)])
        except UnrecordedError as unrecorded:
            return unrecorded
        return error

    def _ended(self, admitted: int, status: str, tally: Tally | None, reports: int) -> Ended:
        outcomes = tally.by_outcome() if tally else {}
        sources = tally.by_source() if tally else {}
        return Ended(
            admitted=admitted,
            status=status,
            reply_sha256=self._reply.hexdigest(),
            reports=reports,
            outcomes={outcome.name: count for outcome, count in outcomes.items()},
            sources={source.name: count for source, count in sources.items()},
            elapsed_ms=round((self._recorder.clock() - self._began) * 1e3),
        )
