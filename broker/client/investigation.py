"""One investigation: lookups are split into batches, several of which are in flight, with retries.

    lookups → batches → senders → calls ─ reports → queue (bounded) → the caller's loop
                           └───── on failure: the open lookups again, after a pause

Back-pressure: if the caller reads slowly, the senders stop reading their streams, and gRPC's flow control slows down
the broker.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from random import random
from typing import Self

from broker.client.errors import BrokerUnavailableError, ClientError, OutOfTimeError
from broker.client.open_lookups import OpenLookups
from broker.client.receipts import Receipt
from broker.client.retry import Attempts, Outage
from broker.client.totals import Totals, TotalsCounter
from broker.model import Kind
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

Ask = Callable[[pb.InvestigateRequest, float | None], AsyncGenerator[pb.InvestigateResponse, None]]
"""Makes one call with this timeout in seconds. Raises only `ClientError`. Closing the generator cancels the call."""
Pause = Callable[[float], Awaitable[object]]

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The parameters of an investigation. Times are in seconds."""

    institutions: tuple[str, ...] = ()
    """The ids of the institutions to ask. Empty: all that the court can reach."""
    kinds: tuple[Kind, ...] = ()
    """The kinds of institution to ask. Empty: all kinds."""
    max_age: float | None = None
    """The maximum age of cached answers. 0: no cached answers. None: any answer whose TTL has not expired."""
    bulk: bool = False
    """Give way to interactive requests."""
    incremental: bool = False
    """Report answers as they arrive, in several reports per lookup. The last one is `final`."""
    timeout: float | None = 30.0
    """The time limit of the whole investigation. None: it takes as long as it progresses, and the longest time that the
    broker gives a call (`server.max_timeout`, ten minutes) limits each batch."""
    max_outage: float = 120.0
    """Without a timeout: how long calls may fail, with no report in between, before the investigation is given up.
    A call that waits for a slow institution does not fail."""
    retry: bool = True
    """Repeat failed calls. If not, the first failure is raised."""
    batch_size: int = 1000
    """Lookups per call, at most 10,000. The broker answers a thousand from its cache in a few milliseconds."""
    concurrency: int = 4
    """Batches in flight at a time. Four keep a broker busy; more of them only wait there."""
    request_id: str = ""
    """An id chosen by the caller, which the summary of every call repeats."""

    def __post_init__(self) -> None:
        for field in ("batch_size", "concurrency"):
            if getattr(self, field) < 1:
                msg = f"{field} must be at least 1, or nothing would be asked"
                raise ValueError(msg)


class Investigation:
    """The reports of one investigation, as they arrive. Iterate over it once.

    A report's `position` is the number of its lookup among all lookups, from 0. Leaving the loop early cancels the
    calls in progress: at once if the investigation is used as a context manager (or with `contextlib.aclosing`), else
    when Python finalises the iterator.

    Failed calls are repeated for the lookups without a final report (`client.retry`). If `Terms.timeout` is reached,
    every such lookup gets a final report with the outcome TIMED_OUT, also if it has not been sent yet. After the last
    report, iterating raises:

    * `RequestRefusedError`: a batch was refused; correct it;
    * `BrokerUnavailableError`: the broker could not be reached at all, or not for `Terms.max_outage`, or kept failing;
    * `OutOfTimeError`: some reports say TIMED_OUT because `Terms.timeout` was reached.
    """

    def __init__(
        self,
        ask: Ask,
        mandate: inquiry_pb2.Mandate,
        lookups: Iterable[pb.Lookup],
        terms: Terms,
        *,
        pause: Pause = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        """`clock` and `pause` measure time and let it pass, in seconds."""
        self._ask = ask
        self._template = _template(mandate, terms)
        self._batches = _split(lookups, terms.batch_size)
        self._terms = terms
        self._pause = pause
        self._clock = clock
        self._progress = _Progress(terms)
        self._count = TotalsCounter()
        self.receipts: list[Receipt] = []
        """Those of the calls that have ended so far, if the broker keeps an audit log."""
        self._whole = False
        self._task: asyncio.Task[None] | None = None
        # At most one message per sender waits for the caller, so the queue itself needs no bound.
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._ready: asyncio.Queue[list[pb.Report] | None] = asyncio.Queue()

    @property
    def totals(self) -> Totals:
        """The totals of the reports yielded so far, and of those that arrived in one message with them."""
        return self._count.totals(whole=self._whole)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancels the calls in progress, and waits until they have ended."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # retrieved, so that asyncio does not log it: the caller has seen it, or has left

    async def __aiter__(self) -> AsyncIterator[pb.Report]:
        async with aclosing(self.messages()) as messages:
            async for reports in messages:
                for report in reports:
                    yield report

    async def messages(self) -> AsyncGenerator[Sequence[pb.Report], None]:
        """The same reports, together as they arrived. Iterate over the investigation or over this."""
        if self._task is not None:
            msg = "an investigation can be iterated over only once"
            raise RuntimeError(msg)
        self._task = asyncio.create_task(self._run())
        try:
            while (reports := await self._ready.get()) is not None:
                for report in reports:
                    self._count.add(report)
                yield reports
                self._slots.release()
            await self._task
            self._whole = True
        finally:
            await self.aclose()

    async def _run(self) -> None:
        """Sends all batches, with `Terms.concurrency` senders."""
        self._progress.begin(self._clock())
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(self._terms.concurrency):
                    senders.create_task(self._send())
            if (error := self._progress.error()) is not None:
                raise error
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the others most likely have the same cause
        finally:
            self._ready.put_nowait(None)

    async def _send(self) -> None:
        for batch in self._batches:
            await self._settle(batch)

    async def _settle(self, batch: OpenLookups) -> None:
        """Calls until every lookup of the batch has its final report."""
        attempts = Attempts(random)
        while batch.open:
            left = self._progress.time_left(self._clock())
            if left is not None and left <= 0:
                self._progress.late += batch.open
                await self._pass_on(batch.time_out())
                return
            still_open, began = batch.open, self._clock()
            self._progress.outage.called(began)
            try:
                failure = await self._try(batch, left)
            finally:
                self._progress.outage.ended(began)
            if batch.open < still_open:
                attempts.progressed()
            if failure is not None:
                await self._wait_after(failure, attempts, began)

    async def _wait_after(self, failure: BrokerUnavailableError, attempts: Attempts, began: float) -> None:
        """Waits until the next attempt, or until the time limit. Raises the failure if there should be no attempt."""
        progress = self._progress
        progress.last_failure = failure
        pause = attempts.pause_after(failure)
        now = self._clock()
        if pause is None or not self._terms.retry or progress.is_stalled(began, now):
            raise failure
        left = progress.time_left(now)
        await self._pause(pause if left is None else max(0.0, min(pause, left)))

    async def _try(self, batch: OpenLookups, left: float | None) -> BrokerUnavailableError | None:
        """Calls once. Returns an error if some lookups of the batch are still open."""
        request = pb.InvestigateRequest(lookups=batch.ask())
        request.MergeFrom(self._template)
        try:
            async with aclosing(self._ask(request, left)) as responses:
                async for response in responses:
                    if response.HasField("summary"):
                        self._take_receipt(response.summary)
                    await self._deliver([batch.take(report) for report in response.reports])
        except ClientError as error:
            if not batch.open:  # only the summary is missing, which is not needed
                return None
            if isinstance(error, BrokerUnavailableError):
                return error
            raise
        if batch.open:
            return BrokerUnavailableError("the broker ended the stream before the last report", "DATA_LOSS")
        return None

    def _take_receipt(self, summary: pb.Summary) -> None:
        if summary.HasField("receipt"):
            self.receipts.append(Receipt.of(summary.receipt))

    async def _deliver(self, reports: list[pb.Report]) -> None:
        if reports:
            self._progress.progressed()
            await self._pass_on(reports)

    async def _pass_on(self, reports: list[pb.Report]) -> None:
        await self._slots.acquire()
        self._ready.put_nowait(reports)


class _Progress:
    """How an investigation gets on in time. State: its deadline, the outage, and what was too late."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._deadline: float | None = None
        self.outage = Outage(terms.max_outage)
        self._has_begun = False
        self.late = 0
        """Lookups that were reported as TIMED_OUT because the time limit was reached."""
        self.last_failure: BrokerUnavailableError | None = None

    def begin(self, now: float) -> None:
        """The time limit counts from here."""
        if self._terms.timeout is not None:
            self._deadline = now + self._terms.timeout

    def progressed(self) -> None:
        """A report has arrived."""
        self.outage.progressed()
        self._has_begun = True

    def time_left(self, now: float) -> float | None:
        """Seconds until the time limit; None if there is none."""
        return None if self._deadline is None else self._deadline - now

    def is_stalled(self, began: float, now: float) -> bool:
        """Whether there is no time limit, and calls fail for too long: this time one that began then."""
        return self._deadline is None and self.outage.is_over_limit(began, now)

    def error(self) -> ClientError | None:
        """What to raise after the last report."""
        if not self.late:
            return None
        failure = self.last_failure
        if failure and not self._has_begun and failure.code != "DEADLINE_EXCEEDED":
            return failure
        text = f"{self.late} lookups have no complete report after {self._terms.timeout:g} s: raise the time limit"
        if failure:
            text += f"; the last failure was {failure}"
        return OutOfTimeError(text, "DEADLINE_EXCEEDED")


def _template(mandate: inquiry_pb2.Mandate, terms: Terms) -> pb.InvestigateRequest:
    """A request without lookups."""
    request = pb.InvestigateRequest(
        mandate=mandate,
        institution_ids=terms.institutions,
        kinds=[f"INSTITUTION_KIND_{kind.name}" for kind in terms.kinds],
        priority="PRIORITY_BULK" if terms.bulk else "PRIORITY_INTERACTIVE",
        delivery="DELIVERY_INCREMENTAL" if terms.incremental else "DELIVERY_COMPLETE",
        request_id=terms.request_id,
    )
    if terms.max_age is not None:
        request.max_age.FromNanoseconds(round(terms.max_age * 1e9))
    return request


def _split(lookups: Iterable[pb.Lookup], size: int) -> Iterator[OpenLookups]:
    remaining = iter(lookups)
    start = 0
    while part := list(islice(remaining, size)):
        yield OpenLookups(start, part)
        start += len(part)
