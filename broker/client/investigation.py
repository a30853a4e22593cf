"""One investigation: lookups are split into batches, several of which are in flight, with retries.

    lookups → batches → senders → calls ─ reports → queue (bounded) → the caller's loop
                           └───── on failure: the open lookups again, after a pause

Back-pressure: if the caller reads slowly, the senders stop reading their streams, and gRPC's flow control slows down
the broker.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from random import uniform
from typing import Self

from broker.client.errors import BrokerUnavailableError, ClientError, OutOfTimeError
from broker.client.open_lookups import OpenLookups
from broker.client.totals import Totals, TotalsCounter
from broker.model import Kind
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

Ask = Callable[[pb.InvestigateRequest, float | None], AsyncGenerator[pb.InvestigateResponse, None]]
"""Makes one call with this timeout in seconds. Raises only `ClientError`. Closing the generator cancels the call."""
Pause = Callable[[float], Awaitable[object]]

_FIRST_PAUSE = 0.2  # s, doubled each time: five attempts span the second or two that a broker takes to restart
_MAX_PAUSE = 5.0  # s
_RETRY_SPREAD = 1.2  # pauses are up to a fifth longer than the broker asked, so that clients do not return all at once


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
    """The time limit of the whole investigation. None: the broker's default applies to each batch."""
    batch_size: int = 1000
    """Lookups per call, at most 10,000. The broker answers a thousand from its cache in a few milliseconds."""
    concurrency: int = 4
    """Batches in flight at a time. Four keep a broker busy; more of them only wait there."""
    attempts: int = 5
    """Calls per batch, including the first."""
    request_id: str = ""
    """An id chosen by the caller, which the summary of every call repeats."""

    def __post_init__(self) -> None:
        for field in ("batch_size", "concurrency", "attempts"):
            if getattr(self, field) < 1:
                msg = f"{field} must be at least 1, or nothing would be asked"
                raise ValueError(msg)


class Investigation:
    """The reports of one investigation, as they arrive. Iterate over it once.

    A report's `position` is the number of its lookup among all lookups, from 0. Leaving the loop early cancels the
    calls in progress: at once if the investigation is used as a context manager (or with `contextlib.aclosing`), else
    when Python finalises the iterator. After the reports that have arrived, iterating raises:

    * `RequestRefusedError`: a batch was refused; correct it;
    * `BrokerUnavailableError`: after `Terms.attempts` calls, some lookups of a batch have no final report;
    * `OutOfTimeError`: `Terms.timeout` was reached before every lookup had its final report.
    """

    def __init__(
        self,
        ask: Ask,
        mandate: inquiry_pb2.Mandate,
        lookups: Iterable[pb.Lookup],
        terms: Terms,
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._ask = ask
        self._template = _template(mandate, terms)
        self._batches = _split(lookups, terms.batch_size)
        self._terms = terms
        self._pause = pause
        self._deadline: float | None = None
        self._count = TotalsCounter()
        self._whole = False
        self._task: asyncio.Task[None] | None = None
        # At most one message per sender waits for the caller, so the queue itself needs no bound.
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._ready: asyncio.Queue[list[pb.Report] | None] = asyncio.Queue()

    @property
    def totals(self) -> Totals:
        """The totals of the reports yielded so far."""
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
        if self._task is not None:
            msg = "an investigation can be iterated over only once"
            raise RuntimeError(msg)
        self._task = asyncio.create_task(self._run())
        try:
            while (reports := await self._ready.get()) is not None:
                for report in reports:
                    self._count.add(report)
                    yield report
                self._slots.release()
            await self._task
            self._whole = True
        finally:
            await self.aclose()

    async def _run(self) -> None:
        """Sends all batches, with `Terms.concurrency` senders."""
        if self._terms.timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + self._terms.timeout
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(self._terms.concurrency):
                    senders.create_task(self._send())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the others most likely have the same cause
        finally:
            self._ready.put_nowait(None)

    async def _send(self) -> None:
        for batch in self._batches:
            await self._settle(batch)

    async def _settle(self, batch: OpenLookups) -> None:
        """Calls until every lookup of the batch has its final report."""
        attempt = 1
        while failure := await self._try(batch):
            pause = _pause_after(failure, attempt)
            left = self._time_left()
            if attempt == self._terms.attempts or (left is not None and left <= pause):
                raise failure
            await self._pause(pause)
            attempt += 1

    async def _try(self, batch: OpenLookups) -> BrokerUnavailableError | None:
        """Calls once. Returns an error if some lookups of the batch are still open."""
        request = pb.InvestigateRequest(lookups=batch.ask())
        request.MergeFrom(self._template)
        left = self._time_left()
        if left is not None and left <= 0:
            raise OutOfTimeError("the time limit was reached before every lookup was sent", "DEADLINE_EXCEEDED")
        try:
            async with aclosing(self._ask(request, left)) as responses:
                async for response in responses:
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

    async def _deliver(self, reports: list[pb.Report]) -> None:
        if reports:
            await self._slots.acquire()
            self._ready.put_nowait(reports)

    def _time_left(self) -> float | None:
        if self._deadline is None:
            return None
        return self._deadline - asyncio.get_running_loop().time()


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


def _pause_after(failure: BrokerUnavailableError, attempt: int) -> float:
    """Seconds until the next attempt: what the broker named, else exponential back-off with full jitter."""
    if failure.retry_after is not None:
        return uniform(failure.retry_after, failure.retry_after * _RETRY_SPREAD)  # noqa: S311 - no secret
    return uniform(0, min(_MAX_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)))  # noqa: S311 - no secret
