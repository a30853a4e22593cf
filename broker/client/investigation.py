"""One investigation of any size: split into batches, several under way, each asked until it is settled.

    lookups → batches → workers → calls ─reports→ hand-over (bounded) → the caller's loop
                           └──── broken? the open ones again, after a pause

A caller that reads slowly holds the workers back, they stop reading their streams, and gRPC's flow control holds the
broker back.
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
from broker.client.totals import Count, Totals
from broker.model import Kind
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

Ask = Callable[[pb.InvestigateRequest, float | None], AsyncGenerator[pb.InvestigateResponse, None]]
"""Makes one call, with so many seconds of time. Raises `ClientError` only; cancels the call when closed."""
Pause = Callable[[float], Awaitable[object]]

_FIRST_PAUSE = 0.2  # s, doubled each time; five attempts so bridge the second or two a broker takes to restart
_LONGEST_PAUSE = 5.0  # s
_RETRY_SPREAD = 1.2  # those told to wait the same time come back spread over a fifth more of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to ask. Times in seconds."""

    institutions: tuple[str, ...] = ()
    """Ids of those to ask; none: all that the court can reach."""
    kinds: tuple[Kind, ...] = ()
    """Kinds of institution to ask; none: all."""
    max_age: float | None = None
    """The oldest cached answer acceptable; 0 asks anew, None takes whatever is still valid."""
    bulk: bool = False
    """Give way to those who wait at a screen."""
    incremental: bool = False
    """Answers as they come: several reports per lookup, each with answers not told before; the last is `final`."""
    timeout: float | None = 30.0
    """For the whole investigation. None: each batch has the time the broker gives to callers that name none."""
    batch_size: int = 1000
    """Lookups per call. A thousand take the broker a few milliseconds from its cache; it allows 10,000."""
    concurrency: int = 4
    """Batches under way at a time. Four keep a broker busy; more only queue there."""
    attempts: int = 5
    """Calls per batch, the first included."""
    request_id: str = ""
    """The caller's own id, repeated in the summary of every call."""

    def __post_init__(self) -> None:
        for field in ("batch_size", "concurrency", "attempts"):
            if getattr(self, field) < 1:
                msg = f"{field} must be at least 1, or nothing would be asked"
                raise ValueError(msg)


class Investigation:
    """The reports of one investigation, as they come. Iterate over it, once.

    A report's `position` counts through all the lookups given. Leaving the loop early cancels what is under way: at
    once when the investigation is used as a context manager (or with `contextlib.aclosing`), else when Python gets to
    it. Raises, once the reports at hand have been given:

    * `RequestRefusedError`: some batch was refused; correct it;
    * `BrokerUnavailableError`: a batch was asked `Terms.attempts` times and some of it is still open;
    * `OutOfTimeError`: `Terms.timeout` is over before every lookup was settled.
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
        self._count = Count()
        self._whole = False
        self._task: asyncio.Task[None] | None = None
        # Messages read but not handed over: at most one per worker, so the queue itself needs no bound.
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._ready: asyncio.Queue[list[pb.Report] | None] = asyncio.Queue()

    @property
    def totals(self) -> Totals:
        """What the reports given so far add up to."""
        return self._count.totals(whole=self._whole)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancels what is under way, and waits until it is."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # told already, or nobody is left to be told

    async def __aiter__(self) -> AsyncIterator[pb.Report]:
        if self._task is not None:
            msg = "an investigation is iterated over once"
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
        """Asks about all batches, with a few workers."""
        if self._terms.timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + self._terms.timeout
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._terms.concurrency):
                    workers.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the others are most likely the same, of other batches
        finally:
            self._ready.put_nowait(None)

    async def _work(self) -> None:
        for batch in self._batches:
            await self._settle(batch)

    async def _settle(self, batch: OpenLookups) -> None:
        """Asks until nothing of the batch is open."""
        attempt = 1
        while failure := await self._try(batch):
            pause = _pause_after(failure, attempt)
            left = self._time_left()
            if attempt == self._terms.attempts or (left is not None and left <= pause):
                raise failure
            await self._pause(pause)
            attempt += 1

    async def _try(self, batch: OpenLookups) -> BrokerUnavailableError | None:
        """Asks once. Returns why some of the batch is still open, if it is."""
        request = pb.InvestigateRequest(lookups=batch.ask())
        request.MergeFrom(self._template)
        left = self._time_left()
        if left is not None and left <= 0:
            raise OutOfTimeError("the time allowed was over before every lookup was asked", "DEADLINE_EXCEEDED")
        try:
            async with aclosing(self._ask(request, left)) as responses:
                async for response in responses:
                    await self._hand_over([batch.take(report) for report in response.reports])
        except ClientError as error:
            if not batch.open:  # only the summary was lost, which is not needed
                return None
            if isinstance(error, BrokerUnavailableError):
                return error
            raise
        if batch.open:
            return BrokerUnavailableError("the broker ended its reports early", "DATA_LOSS")
        return None

    async def _hand_over(self, reports: list[pb.Report]) -> None:
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
    """Seconds until the next attempt: what the broker named, else full jitter under a doubling bound."""
    if failure.retry_after is not None:
        return uniform(failure.retry_after, failure.retry_after * _RETRY_SPREAD)  # noqa: S311 - no secret
    return uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)))  # noqa: S311 - no secret
