"""Sends a request's reports: in messages of a good size, gathered where that helps, and the last with the summary.

Sending and receiving a message costs far more than a report in it. Reports on bulk work therefore wait a moment for
others to go with them, since the answers to a request trickle in; whoever asks interactively never waits.
"""

from collections.abc import Sequence

from broker.core.wire import encoding
from broker.investigation.context import Write
from broker.loops.report_queue import ReportQueue

# Bytes per message: a quarter of gRPC's default limit for receivers, large enough to cost nothing per message.
_MESSAGE = 1024 * 1024
# What goes with the end of a stream has to be small, too: large ones were not given back before the next collection of
# garbage, and a worker of the national workload held 430 MiB instead of 258.
_WORTH_SENDING = 32 * 1024  # bytes: a hundred reports
_PATIENCE = 0.1  # s; a fifth of what a request of a thousand lookups takes when the machine is busy


class ReportSender:
    """Writes what comes through `queue`. State: that queue, and the reports whose sending has begun and not ended."""

    def __init__(self, write: Write, *, gathers: bool) -> None:
        """`gathers`: whether reports may wait for others."""
        self.queue = ReportQueue()
        self._write = write
        self._patience = _PATIENCE if gathers else 0.0
        self._unsent: Sequence[bytes] = ()
        self._sent = 0  # bytes of `_unsent`
        self._began = False

    def whole(self, reports: Sequence[bytes]) -> bytes | None:
        """All reports of the stream, joined, if these are all; None if there may be others, or these are large."""
        if self._began or not self.queue.has_ended or sum(map(len, reports)) > _MESSAGE:
            return None
        return b"".join(reports)

    async def send(self, reports: Sequence[bytes]) -> None:
        """Sends encoded reports."""
        self._unsent, self._sent = reports, 0
        for message in encoding.messages(reports, _MESSAGE):
            self._began = True
            self._sent += len(message)  # before: what gRPC was given may arrive, even if waiting for it is cancelled
            await self._write(message)
        self._unsent = ()

    async def finish(self, reports: Sequence[bytes]) -> bytes:
        """Sends these, and all that comes through the queue until that has ended.

        Returns the last reports, joined, if they are too few to be worth a message of their own. Raises what a producer
        failed with.
        """
        while not self.queue.has_ended:
            await self.send(reports)
            reports = await self.queue.take(_WORTH_SENDING, self._patience)
        if sum(map(len, reports)) < _WORTH_SENDING:
            self._unsent, self._sent = reports, 0
            return b"".join(reports)
        await self.send(reports)
        return b""

    def acknowledge_last(self) -> None:
        """To be called when what `finish` returned is given to the transport."""
        self._unsent = ()

    def unsent(self) -> bytes:
        """What was put together and never sent, encoded; to be called when the stream has ended early."""
        return b"".join(self._unsent)[self._sent :] + b"".join(self.queue.take_nowait())
