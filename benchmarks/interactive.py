"""How long somebody waits who asks one question, while bulk work runs at 70 % of what the broker can do.

    python -m benchmarks.interactive [--seconds 30] [--cached-rate 50] [--missed-rate 20]

First the capacity: bulk requests, most of whose lookups are in the cache, as fast as they are answered. Then the same
at a share of that rate, whether or not it is answered in time, and beside it one-lookup requests at random moments;
some ask what is in the cache, some what nobody asked before. They come from a process of their own, as from a court,
and their time counts from the moment they were due. If the system allows it (CAP_SYS_NICE) that process goes ahead of
the others, since a court has a machine of its own; how late it was all the same is told. What an institution takes by
itself is measured from there as well, at the same time: a question to each of the four mocks directly, until the last
has answered.

Every interactive answer is recomputed, and those of some bulk requests. The capacity is measured once more at the end:
on a machine with other tenants it changes, and a load that was more than the machine could bear shows as such.
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

from benchmarks.courier import Courier, Reply
from benchmarks.crowd import Crowd
from benchmarks.hits import uvloop_runner
from benchmarks.logbook import Totals
from benchmarks.pool import Request
from benchmarks.stage import FOUR, Stopwatch, report, stage
from benchmarks.traffic import progress
from benchmarks.truth import Truth, Verdict, total
from benchmarks.visits import Visit, Visited, ready, visit

_KNOWN = 20_000  # persons in the cache, as in benchmarks.hits
_CHANNELS = 8
_STREAMS = 8
_MOST_FRESH = 15_000  # per second while the capacity is measured: enough for 240,000 inquiries/s
_LEAD = 2.0  # s of bulk work before the first visit: connections and concurrency limits settle
_CHECK_EVERY = 50  # bulk requests, one of which is recomputed: 4,000 answers, a tenth of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked. Rates per second."""

    seconds: float
    capacity_seconds: float
    load: float
    batch: int
    fresh_share: float
    cached_rate: float
    missed_rate: float
    seed: int

    @property
    def fresh(self) -> int:
        """Lookups of a bulk request that nobody asked before."""
        return round(self.batch * self.fresh_share)


@click.command(help=__doc__)
@click.option("--seconds", default=30.0, show_default=True, help="How long visits come.")
@click.option(
    "--capacity-seconds", default=6.0, show_default=True, help="How long the capacity is measured, before and after."
)
@click.option("--load", default=0.7, show_default=True, help="Bulk work, as part of the capacity.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per bulk request.")
@click.option("--fresh-share", default=0.25, show_default=True, help="Of these, not in the cache. [as in the replay]")
@click.option("--cached-rate", default=50.0, show_default=True, help="Visits per second that ask what is cached.")
@click.option("--missed-rate", default=20.0, show_default=True, help="Others, and as many questions asked directly.")
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(*, dialect: str, **options: Any) -> None:
    """Run it."""
    plan = Plan(**options)
    crowd = Crowd(plan.seed, known=_KNOWN)
    bulk = Bulk(plan, crowd)
    with (
        stage(seed=plan.seed, dialect=dialect) as scene,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as caller,
        uvloop_runner() as runner,
        progress() as bar,
    ):
        ahead = caller.submit(ready).result()
        task = bar.add_task("measuring the capacity", total=4)
        capacities = [runner.run(bulk.measure_capacity(scene.address))]
        visits = plan_visits(plan, crowd)
        bulk.prepare(capacities[0] * plan.load)
        bar.update(task, advance=1, description="visiting")
        urls = {name: scene.mocks.said["institutions"][name] for name in FOUR}
        with Stopwatch(scene) as watch:
            visiting = caller.submit(visit, scene.address, urls, visits, time.time() + _LEAD)
            totals = runner.run(bulk.go_on(scene.address, capacities[0] * plan.load))
            visited = visiting.result()
        bar.update(task, advance=1, description="measuring the capacity again")
        capacities.append(runner.run(bulk.measure_capacity(scene.address)))
        twice = sum(scene.stats()[name]["duplicates"] for name in FOUR)
        bar.update(task, advance=1, description="checking")
        asked = [(each.request, each.reply) for each in visited if each.kind != "institution"]
        truth = Truth(plan.seed, crowd.lookup)
        verdict = total(truth.check(request, reply.messages) for request, reply in bulk.kept + asked)
    _report(plan, capacities, totals, visited, watch, verdict=verdict, twice=twice, ahead=ahead)


def plan_visits(plan: Plan, crowd: Crowd) -> list[Visit]:
    """Who is asked about when: at random moments that know nothing of each other, at the rates wanted."""
    rng = Random(plan.seed)
    known = [Visit(at, "cached", crowd.one_known()) for at in _moments(rng, plan.cached_rate, plan.seconds)]
    moments = list(_moments(rng, plan.missed_rate, plan.seconds))
    direct = list(_moments(rng, plan.missed_rate, plan.seconds))
    crowd.enlarge(len(moments) + len(direct))
    missed = [Visit(at, "missed", crowd.one_fresh()) for at in moments]
    asked = [Visit(at, "institution", crowd.one_fresh(), direct=True) for at in direct]
    return sorted(known + missed + asked, key=lambda each: each.at)


def _moments(rng: Random, rate: float, seconds: float) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


class Bulk:
    """The bulk client. State: whether the known have been asked about, and the replies kept to be checked."""

    def __init__(self, plan: Plan, crowd: Crowd) -> None:
        self.kept: list[tuple[Request, Reply]] = []
        self._plan = plan
        self._crowd = crowd
        self._introduced = False

    async def measure_capacity(self, address: str) -> float:
        """Requests per second, as fast as they are answered."""
        plan, crowd = self._plan, self._crowd
        crowd.enlarge(max(0, round(_MOST_FRESH * plan.capacity_seconds) - crowd.fresh))
        async with Courier.open(address, channels=_CHANNELS) as courier:
            if not self._introduced:
                await self._all(courier, iter(crowd.introduction(plan.batch)))
                self._introduced = True
            began = time.perf_counter()
            asked = await self._all(courier, self._until(began + plan.capacity_seconds))
            return asked / (time.perf_counter() - began)

    def prepare(self, rate: float) -> None:
        """Sees to it that there are enough persons for `go_on`."""
        requests = math.ceil(rate * (_LEAD + self._plan.seconds))
        self._crowd.enlarge(max(0, requests * self._plan.fresh - self._crowd.fresh))

    async def go_on(self, address: str, rate: float) -> Totals:
        """So many requests per second, however long each takes."""
        totals, began = Totals(), time.perf_counter()

        async def ask(courier: Courier, *, keep: bool) -> None:
            request = self._request()
            reply = await courier.ask(request, keep=keep)
            totals.add(reply)
            if keep:
                self.kept.append((request, reply))

        async with Courier.open(address, channels=_CHANNELS) as courier, asyncio.TaskGroup() as group:
            for number in range(math.ceil(rate * (_LEAD + self._plan.seconds))):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                group.create_task(ask(courier, keep=number % _CHECK_EVERY == 0))
        totals.seconds = time.perf_counter() - began
        return totals

    def _request(self) -> Request:
        return self._crowd.bulk(self._plan.batch - self._plan.fresh, self._plan.fresh)

    def _until(self, end: float) -> Iterator[Request]:
        """Requests for as long as there is time, and somebody nobody has asked about."""
        while time.perf_counter() < end and self._crowd.fresh >= self._plan.fresh:
            yield self._request()

    async def _all(self, courier: Courier, requests: Iterator[Request]) -> int:
        """Sends all, some at a time. Returns how many they were."""
        sent = 0

        async def one_after_the_other() -> None:
            nonlocal sent
            for request in requests:
                await courier.ask(request)
                sent += 1

        async with asyncio.TaskGroup() as streams:
            for _ in range(_STREAMS):
                streams.create_task(one_after_the_other())
        return sent


def latencies(visited: Sequence[Visited]) -> dict[str, float]:
    """Percentiles of the visits in milliseconds, by kind: to the last report, and of the broker's to the first."""
    figures: dict[str, float] = {}
    for kind in ("cached", "missed", "institution"):
        replies = [each.reply for each in visited if each.kind == kind]
        figures |= _percentiles(kind, [reply.last for reply in replies])
        if kind != "institution":
            figures |= _percentiles(f"{kind}_first", [reply.first for reply in replies])
    figures["client_late_p99_ms"] = _percentiles("late", [each.late for each in visited])["late_p99_ms"]
    figures["missed_p99_over_institution_ms"] = round(figures["missed_p99_ms"] - figures["institution_p99_ms"], 2)
    return figures


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{part}_ms": round(float(np.percentile(seconds, part)) * 1e3, 2) for part in (50, 99)}


def _report(  # noqa: PLR0913 - all there is to tell
    plan: Plan,
    capacities: Sequence[float],
    bulk: Totals,
    visited: Sequence[Visited],
    watch: Stopwatch,
    *,
    verdict: Verdict,
    twice: int,
    ahead: bool,
) -> None:
    figures = latencies(visited)
    every = replace(bulk)
    for each in visited:
        if each.kind != "institution":
            every.add(each.reply)
    before, after = (round(rate * bulk.inquiries / bulk.requests) for rate in capacities)
    rate = bulk.inquiries / bulk.seconds
    result: dict[str, object] = {
        "benchmark": "interactive",
        **figures,
        "client_ahead": ahead,
        "capacity_before": before,
        "capacity_after": after,
        "load": round(rate / (before + after) * 2, 3),
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(bulk.lookups / bulk.seconds),
        "wrong_answers": verdict.wrong + every.surplus,
        "checked": verdict.checked,
        "lost": every.lost,
        "unanswered": every.unanswered,
        "asked_twice": twice,
        "broker_cpu_us_per_inquiry": round(watch.broker_cpu / every.inquiries * 1e6, 3),
        "peak_rss_mib": round(watch.peak_rss_mib),
    }
    rows = {
        "capacity": f"{before:,} inquiries/s before, {after:,} after",
        "bulk meanwhile": f"{rate:,.0f} inquiries/s: {result['load']:.0%} of their mean",
        **{
            f"{kind}, to the last report": f"p50 {figures[f'{kind}_p50_ms']} ms, p99 {figures[f'{kind}_p99_ms']} ms"
            for kind in ("cached", "missed")
        },
        "the client itself late": f"p99 {figures['client_late_p99_ms']} ms"
        + ("" if ahead else ": it had to wait for a core"),
        "an institution by itself": f"p99 {figures['institution_p99_ms']} ms",
        "missed over institution": f"{figures['missed_p99_over_institution_ms']} ms at p99",
        "wrong answers": f"{verdict.wrong} of {verdict.checked:,} checked",
        "lookups lost": str(every.lost),
        "asked twice": str(twice),
    }
    report(f"One question, while bulk runs at {plan.load:.0%} of capacity", rows, result)


if __name__ == "__main__":
    main()
