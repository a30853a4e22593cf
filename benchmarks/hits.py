"""How fast cached answers go out: real gRPC, real LMDB, four institutions.

    python -m benchmarks.hits [--subjects 200000] [--seconds 10] [--batch 1000] [--streams 8]

The cache is filled through the broker itself, by asking the mocks. Then the same persons are asked about in requests
that mix them anew, so that what one request reads does not lie together, and all answers are recomputed from the mocks'
seed: these replies are the references. On the clock these requests are sent again and again, and every reply is
compared with its reference, byte by byte; whatever differs is recomputed too.

`ratio_to_raw_store` is lookups/s over what LMDB's own `getmulti` alone does, in this process, on the same file right
after, with as many random records at a time: no decryption, no request, no reply.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import lmdb
import uvloop

from benchmarks.stage import FOUR, Stopwatch, report, stage
from benchmarks.traffic import Checker, Received, Verdict, drive, progress, requests, sample
from broker.store.lmdb_check import ENGINE

_RAW_SECONDS = 2.0  # long enough for some millions of reads


@click.command(help=__doc__)
@click.option("--subjects", default=200_000, show_default=True, help="Different persons in the cache.")
@click.option("--seconds", default=10.0, show_default=True, help="How long to ask.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests at a time, each over its own connection.")
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, seconds: float, batch: int, streams: int, seed: int) -> None:
    """Run it."""
    lookups = sample(seed, subjects)
    filling = requests(lookups, batch)
    bodies = requests(random.Random(seed).sample(lookups, len(lookups)), batch)
    checker = Checker(seed, lookups, FOUR)
    with stage(seed=seed) as scene, uvloop_runner() as runner, progress() as bar:
        task = bar.add_task("filling the cache", total=None)
        ask = partial(drive, scene.address, streams=streams, advance=lambda count: bar.advance(task, count))
        runner.run(ask(iter(filling)))
        references = References()
        bar.update(task, description="checking the cache")
        wrong = 0
        while (seen := runner.run(ask(iter(bodies), keep=references.learn))).kept:  # until all is committed
            wrong += checker.check(seen).wrong
        bar.update(task, description="asking")
        with Stopwatch(scene) as watch:
            received = runner.run(ask(again_and_again(bodies, seconds, seed), keep=references.differ))
        bar.update(task, description="reading without a broker")
        raw = raw_rate(scene.folder / "cache", batch, seed)
    if wrong or seen.lookups != len(lookups):
        raise SystemExit(f"before the clock started, {wrong} answers were wrong")
    _report(received, checker.check(received), watch, raw)


class References:
    """What came back to each request before the clock started."""

    def __init__(self) -> None:
        self._messages: dict[bytes, Sequence[bytes]] = {}

    def learn(self, body: bytes, messages: Sequence[bytes]) -> bool:
        """Remembers a reply, and has it kept for checking if it is another one than before."""
        known = self._messages.get(body)
        self._messages[body] = messages
        return messages != known

    def differ(self, body: bytes, messages: Sequence[bytes]) -> bool:
        """Whether a reply has to be checked because it is not the same as the reference."""
        return messages != self._messages[body]


def uvloop_runner() -> asyncio.Runner:
    """The client's loop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def again_and_again(bodies: Sequence[bytes], seconds: float, seed: int) -> Iterator[bytes]:
    """Requests drawn at random, for so long."""
    rng = random.Random(seed)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield rng.choice(bodies)


def raw_rate(folder: Path, batch: int, seed: int) -> float:
    """Records per second that `getmulti` alone brings up from a store's file, so many random ones at a time.

    A record is in hand when the block it is in, a page of some ten records, is: one `getmulti` of as many blocks.
    """
    rng = random.Random(seed)
    with lmdb.open(str(folder), max_dbs=2, readonly=True, readahead=False, lib_version=ENGINE) as env:
        records = env.open_db(b"records", create=False)
        with env.begin(db=records) as txn:
            blocks = list(txn.cursor().iternext(values=False))
        batches = [sorted(rng.choices(blocks, k=batch)) for _ in range(200)]
        read, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < _RAW_SECONDS:
            for wanted in batches:
                with env.begin(db=records) as txn:
                    read += len(txn.cursor().getmulti(wanted))
        return read / spent


def _report(received: Received, verdict: Verdict, watch: Stopwatch, raw: float) -> None:
    rate = received.inquiries / watch.seconds
    lookups = received.lookups / watch.seconds
    cost = watch.broker_cpu / max(1, received.inquiries) * 1e6
    lost = received.lookups - received.spared - verdict.reports
    rows = {
        "inquiries": f"{received.inquiries:,} in {watch.seconds:.1f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{lookups:,.0f}",
        "of LMDB's getmulti alone": f"{lookups / raw:.2f} of {raw:,.0f} records/s",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "CPU in use": f"broker {watch.broker_cpu / watch.seconds:.0%}, client {watch.client_cpu / watch.seconds:.0%}",
        "memory of the largest worker": f"{watch.peak_rss_mib:.0f} MiB",
        "answers from the cache": f"{received.from_cache / max(1, received.inquiries):.1%}",
        "wrong answers": f"{verdict.wrong}; the same bytes as the references but for {verdict.checked:,} answers",
        "lost": str(lost),
    }
    result: dict[str, object] = {
        "benchmark": "hits",
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(lookups),
        "ratio_to_raw_store": round(lookups / raw, 3),
        "raw_store_per_second": round(raw),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "wrong_answers": verdict.wrong,
        "answers_checked": received.inquiries,
        "lost": lost,
        "peak_rss_mib": round(watch.peak_rss_mib),
    }
    report("Cached lookups, four institutions", rows, result)


if __name__ == "__main__":
    main()
