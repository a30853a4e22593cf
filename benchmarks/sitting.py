"""One stretch of a long run, from where the logbook stands until the end, a time limit, or Ctrl-C."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from math import nan

import numpy as np

from benchmarks.courier import Courier, Reply
from benchmarks.lasting import on_disk, records
from benchmarks.logbook import Ledger, Logbook, Sample
from benchmarks.pool import Portions, Request
from benchmarks.stage import FOUR, Stage

_SAVE_EVERY = 15  # samples, that is seconds
_MOST_FAILED = 20  # requests; more are not bad luck, and the run is stopped where it can be resumed
_SHORTEST = 0.5  # s; rates over less are no rates
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to ask, which the result must not depend on."""

    seconds: float
    """For so long at most."""
    streams: int
    """Portions under way at a time."""
    channels: int
    check_every: int
    """Of so many portions one is kept whole, to be checked."""


@dataclass(slots=True)
class _Second:
    """What ended since the last sample."""

    inquiries: int = 0
    lookups: int = 0
    bulk: list[float] = field(default_factory=list)
    interactive: list[float] = field(default_factory=list)

    def add(self, request: Request, reply: Reply) -> None:
        self.inquiries += reply.summary.inquiries
        self.lookups += reply.asked
        (self.bulk if request.is_bulk else self.interactive).append(reply.last)


class Sitting:
    """State: what is under way, the second that runs, and the replies kept to be checked."""

    def __init__(self, scene: Stage, book: Logbook, portions: Portions, pace: Pace) -> None:
        self.kept: list[tuple[Request, Reply]] = []
        self._scene = scene
        self._book = book
        self._portions = portions
        self._pace = pace
        self._before = replace(book.totals)
        self._ledger = Ledger(book.totals)
        self._numbers = count(book.totals.portions)
        self._stop = asyncio.Event()
        self._second = _Second()
        self._began = 0.0
        self._cpu_before = (0.0, 0.0, 0.0)

    async def run(self, advance: Callable[[int], None] = lambda _: None) -> None:
        """Asks. Calls `advance` with the number of portions that have ended, each second."""
        gc.freeze()  # what is here now stays
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.call_later(self._pace.seconds, self._stop.set)
        self._began, self._cpu_before = time.perf_counter(), self._cpu()
        async with (
            Courier.open(self._scene.address, channels=self._pace.channels) as courier,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._sample(advance))
            async with asyncio.TaskGroup() as streams:
                for _ in range(self._pace.streams):
                    streams.create_task(self._stream(courier))
            self._stop.set()
        await self._save()

    async def _stream(self, courier: Courier) -> None:
        """Portion after portion, until there are no more."""
        for number in self._numbers:
            if number >= self._portions.count or self._stop.is_set():
                return
            keep = number % self._pace.check_every == 0
            requests = self._portions.requests(number)
            replies = await asyncio.gather(*(courier.ask(request, keep=keep) for request in requests))
            for request, reply in zip(requests, replies, strict=True):
                self._second.add(request, reply)
            if keep:
                self.kept += zip(requests, replies, strict=True)
            self._ledger.enter(number, replies)
            if self._book.totals.failed - self._before.failed > _MOST_FAILED:
                self._stop.set()

    # --- what it is like ----------------------------------------------------------------------------------------------

    async def _sample(self, advance: Callable[[int], None]) -> None:
        for number in count(1):
            began, cpu = time.perf_counter(), self._cpu()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)
            second, self._second = self._second, _Second()
            held = await asyncio.to_thread(self._held)
            seconds, used = time.perf_counter() - began, [b - a for a, b in zip(cpu, self._cpu(), strict=True)]
            self._book.totals.seconds = self._before.seconds + time.perf_counter() - self._began
            if seconds >= _SHORTEST or number == 1:
                self._note(second, held, seconds, used)
            advance(self._book.totals.portions)
            if self._stop.is_set():
                return
            if number % _SAVE_EVERY == 0:
                await self._save()

    def _held(self) -> tuple[float, float]:
        """Bytes the store takes, and the subjects in it."""
        return on_disk(self._scene.folder / "cache"), records(self._scene)

    def _note(self, second: _Second, held: tuple[float, float], seconds: float, cpu: list[float]) -> None:
        totals = self._book.totals
        rss = self._scene.broker.rss_mib()
        totals.peak_rss = max(totals.peak_rss, rss)
        broker_cpu, mocks_cpu, client_cpu = (each / seconds for each in cpu)
        self._book.note(
            Sample(
                seconds=round(totals.seconds, 2),
                inquiries_per_second=round(second.inquiries / seconds),
                lookups_per_second=round(second.lookups / seconds),
                bulk_p50_ms=_percentile(second.bulk, 50),
                bulk_p99_ms=_percentile(second.bulk, 99),
                interactive_p50_ms=_percentile(second.interactive, 50),
                interactive_p99_ms=_percentile(second.interactive, 99),
                store_mib=round(held[0] / _MIB, 1),
                records=held[1],
                rss_mib=round(rss, 1),
                broker_cpu=round(broker_cpu, 2),
                mocks_cpu=round(mocks_cpu, 2),
                client_cpu=round(client_cpu, 2),
            )
        )

    def _cpu(self) -> tuple[float, float, float]:
        return self._scene.broker.cpu_seconds(), self._scene.mocks.cpu_seconds(), time.process_time()

    async def _save(self) -> None:
        """Writes down how far it has come."""
        stats = await asyncio.to_thread(self._scene.stats)
        totals, before = self._book.totals, self._before
        totals.asked = before.asked + sum(stats[name]["first_attempts"] for name in FOUR)
        totals.duplicates = before.duplicates + sum(stats[name]["duplicates"] for name in FOUR)
        broker, mocks, client = (b - a for a, b in zip(self._cpu_before, self._cpu(), strict=True))
        totals.broker_cpu = before.broker_cpu + broker
        totals.mocks_cpu = before.mocks_cpu + mocks
        totals.client_cpu = before.client_cpu + client
        self._book.save(finished=False)  # that is not said before the answers kept are checked


def _percentile(seconds: list[float], part: float) -> float:
    """In milliseconds; NaN of nothing."""
    return round(float(np.percentile(seconds, part)) * 1e3, 2) if seconds else nan
