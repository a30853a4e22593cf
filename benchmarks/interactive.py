"""Latency of single lookups, while bulk requests run at 70 % of the broker's capacity.

    python -m benchmarks.interactive [--seconds 30] [--cached-rate 50] [--missed-rate 20]

First the capacity is measured: bulk requests, most of whose lookups are cached, each sent as soon as the one before has
been answered. Then bulk requests are sent at a fixed share of that rate, whether or not they are answered in time, and
beside them probes: one-lookup requests at random moments, some about cached persons, some about persons nobody has
asked about. Probes come from a process of their own, and their latency counts from the moment they were due. If the
system allows it (CAP_SYS_NICE), that process has priority over the others, since a court has a machine of its own; how
late it was nevertheless is printed. The same process also asks the institutions directly, a person at all four mocks at
a time, to tell what an institution's own latency is under this load.

Every answer to a probe is recomputed, and so are the answers to some bulk requests. The capacity is measured once more
at the end: on a machine with other tenants it changes, and a load beyond it explains high latencies.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from random import Random
from typing import Any

import click
import numpy as np

from benchmarks.answer_check import CheckResult, add_up
from benchmarks.checkpoint import RunTotals
from benchmarks.dataset import Dataset
from benchmarks.expected_answers import ExpectedAnswers
from benchmarks.load_client import LoadClient, StreamResult
from benchmarks.load_generator import uvloop_runner
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.output import print_result, progress
from benchmarks.probe import Probe, ProbeResult, raise_priority, run_probes
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, open_testbed

_CACHED = 20_000  # persons in the cache
_CHANNELS = 8
_STREAMS = 8
_MAX_UNCACHED = 15_000  # persons per second while the capacity is measured: enough for 240,000 inquiries/s
_LEAD = 2.0  # s of bulk work before the first probe, in which connections and concurrency limits settle
_CHECK_EVERY = 50  # bulk requests, one of which is recomputed: 4,000 answers, a tenth of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProfile:
    """What is sent. Rates per second."""

    seconds: float
    capacity_seconds: float
    load: float
    """Bulk rate as a share of the capacity."""
    batch: int
    uncached_share: float
    cached_rate: float
    missed_rate: float
    seed: int

    @property
    def uncached(self) -> int:
        """Lookups of a bulk request about persons nobody has asked about."""
        return round(self.batch * self.uncached_share)


@click.command(help=__doc__)
@click.option("--seconds", default=30.0, show_default=True, help="How long probes are sent.")
@click.option(
    "--capacity-seconds", default=6.0, show_default=True, help="How long the capacity is measured, before and after."
)
@click.option("--load", default=0.7, show_default=True, help="Rate of bulk requests, as a share of the capacity.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per bulk request.")
@click.option("--uncached-share", default=0.25, show_default=True, help="Share of these not cached. [as in the replay]")
@click.option("--cached-rate", default=50.0, show_default=True, help="Probes per second about cached persons.")
@click.option("--missed-rate", default=20.0, show_default=True, help="Probes about others, and as many sent directly.")
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(*, dialect: str, **options: Any) -> None:
    """Run the benchmark."""
    profile = LoadProfile(**options)
    dataset = Dataset(profile.seed, cached=_CACHED)
    bulk = BulkLoad(profile, dataset)
    with (
        open_testbed(seed=profile.seed, dialect=dialect) as testbed,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as prober,
        uvloop_runner() as runner,
        progress() as bar,
    ):
        has_priority = prober.submit(raise_priority).result()
        task = bar.add_task("measuring the capacity", total=4)
        capacities = [runner.run(bulk.measure_capacity(testbed.address))]
        probes = plan_probes(profile, dataset)
        bulk.prepare(capacities[0] * profile.load)
        bar.update(task, advance=1, description="probing")
        urls = {name: testbed.urls[name] for name in FOUR}
        with ResourceMeter(testbed) as meter:
            probing = prober.submit(run_probes, testbed.address, urls, probes, time.time() + _LEAD)
            totals = runner.run(bulk.run_at(testbed.address, capacities[0] * profile.load))
            results = probing.result()
        bar.update(task, advance=1, description="measuring the capacity again")
        capacities.append(runner.run(bulk.measure_capacity(testbed.address)))
        duplicates = sum(testbed.stats()[name]["duplicates"] for name in FOUR)
        bar.update(task, advance=1, description="checking")
        answered = [(each.request, each.result) for each in results if each.kind != "institution"]
        expected = ExpectedAnswers(profile.seed, dataset.lookup)
        check = add_up(expected.check(request, result.messages) for request, result in bulk.kept + answered)
    _print(profile, capacities, totals, results, meter, check=check, duplicates=duplicates, has_priority=has_priority)


def plan_probes(profile: LoadProfile, dataset: Dataset) -> list[Probe]:
    """Probes at independent random moments (a Poisson process), at the rates wanted, in order of time."""
    rng = Random(profile.seed)
    cached = [
        Probe(at, "cached", dataset.single_cached()) for at in _moments(rng, profile.cached_rate, profile.seconds)
    ]
    moments = list(_moments(rng, profile.missed_rate, profile.seconds))
    direct = list(_moments(rng, profile.missed_rate, profile.seconds))
    dataset.add(len(moments) + len(direct))
    missed = [Probe(at, "missed", dataset.single_uncached()) for at in moments]
    asked = [Probe(at, "institution", dataset.single_uncached(), direct=True) for at in direct]
    return sorted(cached + missed + asked, key=lambda each: each.at)


def _moments(rng: Random, rate: float, seconds: float) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


class BulkLoad:
    """The bulk client. State: whether the cache has been filled, and the results kept to be checked."""

    def __init__(self, profile: LoadProfile, dataset: Dataset) -> None:
        self.kept: list[tuple[EncodedRequest, StreamResult]] = []
        self._profile = profile
        self._dataset = dataset
        self._is_warm = False

    async def measure_capacity(self, address: str) -> float:
        """Requests per second, if each is sent as soon as the one before has been answered."""
        profile, dataset = self._profile, self._dataset
        dataset.add(max(0, round(_MAX_UNCACHED * profile.capacity_seconds) - dataset.uncached))
        async with LoadClient.open(address, channels=_CHANNELS) as client:
            if not self._is_warm:
                await self._send_all(client, iter(dataset.warm_up(profile.batch)))
                self._is_warm = True
            began = time.perf_counter()
            sent = await self._send_all(client, self._until(began + profile.capacity_seconds))
            return sent / (time.perf_counter() - began)

    def prepare(self, rate: float) -> None:
        """Makes enough persons for `run_at`."""
        requests = math.ceil(rate * (_LEAD + self._profile.seconds))
        self._dataset.add(max(0, requests * self._profile.uncached - self._dataset.uncached))

    async def run_at(self, address: str, rate: float) -> RunTotals:
        """Sends so many requests per second, however long each takes."""
        totals, began = RunTotals(), time.perf_counter()

        async def send(client: LoadClient, *, keep: bool) -> None:
            request = self._request()
            result = await client.send(request, keep=keep)
            totals.add(result)
            if keep:
                self.kept.append((request, result))

        async with LoadClient.open(address, channels=_CHANNELS) as client, asyncio.TaskGroup() as group:
            for number in range(math.ceil(rate * (_LEAD + self._profile.seconds))):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                group.create_task(send(client, keep=number % _CHECK_EVERY == 0))
        totals.seconds = time.perf_counter() - began
        return totals

    def _request(self) -> EncodedRequest:
        return self._dataset.bulk(self._profile.batch - self._profile.uncached, self._profile.uncached)

    def _until(self, end: float) -> Iterator[EncodedRequest]:
        """Requests until the time is over, or nobody is left whom no request has asked about."""
        while time.perf_counter() < end and self._dataset.uncached >= self._profile.uncached:
            yield self._request()

    async def _send_all(self, client: LoadClient, requests: Iterator[EncodedRequest]) -> int:
        """Sends all requests over some streams at a time. Returns how many there were."""
        sent = 0

        async def one_stream() -> None:
            nonlocal sent
            for request in requests:
                await client.send(request)
                sent += 1

        async with asyncio.TaskGroup() as streams:
            for _ in range(_STREAMS):
                streams.create_task(one_stream())
        return sent


def latencies(results: Sequence[ProbeResult]) -> dict[str, float]:
    """Percentiles in milliseconds, by kind of probe: until the last report and, from the broker, the first."""
    figures: dict[str, float] = {}
    for kind in ("cached", "missed", "institution"):
        streams = [each.result for each in results if each.kind == kind]
        figures |= _percentiles(kind, [stream.last for stream in streams])
        if kind != "institution":
            figures |= _percentiles(f"{kind}_first", [stream.first for stream in streams])
    figures["client_late_p99_ms"] = _percentiles("late", [each.late for each in results])["late_p99_ms"]
    figures["missed_p99_over_institution_ms"] = round(figures["missed_p99_ms"] - figures["institution_p99_ms"], 2)
    return figures


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{part}_ms": round(float(np.percentile(seconds, part)) * 1e3, 2) for part in (50, 99)}


def _print(  # noqa: PLR0913 - all that was measured
    profile: LoadProfile,
    capacities: Sequence[float],
    bulk: RunTotals,
    results: Sequence[ProbeResult],
    meter: ResourceMeter,
    *,
    check: CheckResult,
    duplicates: int,
    has_priority: bool,
) -> None:
    figures = latencies(results)
    every = replace(bulk)
    for each in results:
        if each.kind != "institution":
            every.add(each.result)
    before, after = (round(rate * bulk.inquiries / bulk.requests) for rate in capacities)
    rate = bulk.inquiries / bulk.seconds
    result: dict[str, object] = {
        "benchmark": "interactive",
        **figures,
        "client_has_priority": has_priority,
        "capacity_before": before,
        "capacity_after": after,
        "load": round(rate / (before + after) * 2, 3),
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(bulk.lookups / bulk.seconds),
        "wrong_answers": check.wrong + every.surplus,
        "checked": check.checked,
        "lost": every.lost,
        "unanswered": every.unanswered,
        "asked_twice": duplicates,
        "broker_cpu_us_per_inquiry": round(meter.broker_cpu / every.inquiries * 1e6, 3),
        "peak_rss_mib": round(meter.peak_rss_mib),
    }
    rows = {
        "capacity": f"{before:,} inquiries/s before, {after:,} after",
        "bulk load": f"{rate:,.0f} inquiries/s: {result['load']:.0%} of their mean",
        **{
            f"{kind} lookup, to the last report": f"p50 {figures[f'{kind}_p50_ms']} ms, "
            f"p99 {figures[f'{kind}_p99_ms']} ms"
            for kind in ("cached", "missed")
        },
        "probes sent late by": f"p99 {figures['client_late_p99_ms']} ms"
        + ("" if has_priority else " (without priority)"),
        "institutions, asked directly": f"p99 {figures['institution_p99_ms']} ms",
        "missed minus institutions": f"{figures['missed_p99_over_institution_ms']} ms at p99",
        "wrong answers": f"{check.wrong} of {check.checked:,} checked",
        "lookups lost": str(every.lost),
        "duplicate inquiries": str(duplicates),
    }
    print_result(f"Single lookups, while bulk requests run at {profile.load:.0%} of capacity", rows, result)


if __name__ == "__main__":
    main()
