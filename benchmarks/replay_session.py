"""One session of a replay: from its checkpoint to the end of the workload, a time limit, or Ctrl-C."""

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

from benchmarks.checkpoint import Checkpoint, OrderedTotals, Sample
from benchmarks.load_client import LoadClient, StreamResult
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.persistent_testbed import disk_usage, records
from benchmarks.prepared_workload import Portions
from benchmarks.testbed import FOUR, Testbed

_SAVE_EVERY = 15  # samples, that is seconds
_MAX_FAILED = 20  # requests; with more, something is broken, and the run stops where it can be resumed
_MIN_SAMPLE = 0.5  # s; a rate over less means nothing
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and for how long to send. The answers must not depend on it."""

    seconds: float
    """At most."""
    streams: int
    """Portions in flight."""
    channels: int
    check_every: int
    """Of so many portions one is kept, to be checked."""


@dataclass(slots=True)
class _Second:
    """What ended since the last sample."""

    inquiries: int = 0
    lookups: int = 0
    bulk: list[float] = field(default_factory=list)
    interactive: list[float] = field(default_factory=list)

    def add(self, request: EncodedRequest, result: StreamResult) -> None:
        self.inquiries += result.summary.inquiries
        self.lookups += result.lookups
        (self.bulk if request.is_bulk else self.interactive).append(result.last)


class ReplaySession:
    """State: the next portion, the current second, and the results kept to be checked."""

    def __init__(self, testbed: Testbed, checkpoint: Checkpoint, portions: Portions, pace: Pace) -> None:
        self.kept: list[tuple[EncodedRequest, StreamResult]] = []
        self._testbed = testbed
        self._checkpoint = checkpoint
        self._portions = portions
        self._pace = pace
        self._before = replace(checkpoint.totals)
        self._ordered = OrderedTotals(checkpoint.totals)
        self._numbers = count(checkpoint.totals.portions)
        self._stop = asyncio.Event()
        self._second = _Second()
        self._began = 0.0
        self._cpu_before = (0.0, 0.0, 0.0)

    async def run(self, advance: Callable[[int], None] = lambda _: None) -> None:
        """Sends. Calls `advance` with the number of portions that have ended, each second."""
        gc.freeze()  # what has been allocated until now stays, and need not be traversed
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        loop.call_later(self._pace.seconds, self._stop.set)
        self._began, self._cpu_before = time.perf_counter(), self._cpu()
        async with (
            LoadClient.open(self._testbed.address, channels=self._pace.channels) as client,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._sample(advance))
            async with asyncio.TaskGroup() as streams:
                for _ in range(self._pace.streams):
                    streams.create_task(self._stream(client))
            self._stop.set()
        await self._save()

    async def _stream(self, client: LoadClient) -> None:
        """Sends portion after portion, until there are no more."""
        for number in self._numbers:
            if number >= self._portions.count or self._stop.is_set():
                return
            keep = number % self._pace.check_every == 0
            requests = self._portions.requests(number)
            results = await asyncio.gather(*(client.send(request, keep=keep) for request in requests))
            for request, result in zip(requests, results, strict=True):
                self._second.add(request, result)
            if keep:
                self.kept += zip(requests, results, strict=True)
            self._ordered.enter(number, results)
            if self._checkpoint.totals.failed - self._before.failed > _MAX_FAILED:
                self._stop.set()

    # --- samples and checkpoints --------------------------------------------------------------------------------------

    async def _sample(self, advance: Callable[[int], None]) -> None:
        for number in count(1):
            began, cpu = time.perf_counter(), self._cpu()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)
            second, self._second = self._second, _Second()
            store = await asyncio.to_thread(self._store_size)
            seconds, used = time.perf_counter() - began, [b - a for a, b in zip(cpu, self._cpu(), strict=True)]
            self._checkpoint.totals.seconds = self._before.seconds + time.perf_counter() - self._began
            if seconds >= _MIN_SAMPLE or number == 1:
                self._add_sample(second, store, seconds, used)
            advance(self._checkpoint.totals.portions)
            if self._stop.is_set():
                return
            if number % _SAVE_EVERY == 0:
                await self._save()

    def _store_size(self) -> tuple[float, float]:
        """Bytes the store takes on disk, and the subjects in it."""
        return disk_usage(self._testbed.folder / "cache"), records(self._testbed)

    def _add_sample(self, second: _Second, store: tuple[float, float], seconds: float, cpu: list[float]) -> None:
        totals = self._checkpoint.totals
        rss = self._testbed.broker.rss_mib()
        totals.peak_rss = max(totals.peak_rss, rss)
        broker_cpu, mocks_cpu, client_cpu = (each / seconds for each in cpu)
        self._checkpoint.add_sample(
            Sample(
                seconds=round(totals.seconds, 2),
                inquiries_per_second=round(second.inquiries / seconds),
                lookups_per_second=round(second.lookups / seconds),
                bulk_p50_ms=_percentile(second.bulk, 50),
                bulk_p99_ms=_percentile(second.bulk, 99),
                interactive_p50_ms=_percentile(second.interactive, 50),
                interactive_p99_ms=_percentile(second.interactive, 99),
                store_mib=round(store[0] / _MIB, 1),
                records=store[1],
                rss_mib=round(rss, 1),
                broker_cpu=round(broker_cpu, 2),
                mocks_cpu=round(mocks_cpu, 2),
                client_cpu=round(client_cpu, 2),
            )
        )

    def _cpu(self) -> tuple[float, float, float]:
        return self._testbed.broker.cpu_seconds(), self._testbed.mocks.cpu_seconds(), time.process_time()

    async def _save(self) -> None:
        """Saves the checkpoint."""
        stats = await asyncio.to_thread(self._testbed.stats)
        totals, before = self._checkpoint.totals, self._before
        totals.asked = before.asked + sum(stats[name]["first_attempts"] for name in FOUR)
        totals.duplicates = before.duplicates + sum(stats[name]["duplicates"] for name in FOUR)
        broker, mocks, client = (b - a for a, b in zip(self._cpu_before, self._cpu(), strict=True))
        totals.broker_cpu = before.broker_cpu + broker
        totals.mocks_cpu = before.mocks_cpu + mocks
        totals.client_cpu = before.client_cpu + client
        self._checkpoint.save(finished=False)  # it is finished only when the answers kept have been checked


def _percentile(seconds: list[float], part: float) -> float:
    """In milliseconds; NaN if there is no value."""
    return round(float(np.percentile(seconds, part)) * 1e3, 2) if seconds else nan
