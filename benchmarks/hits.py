"""Throughput of answers from the cache: real gRPC, real LMDB, four institutions.

    python -m benchmarks.hits [--subjects 200000] [--seconds 10] [--batch 1000] [--streams 8]

First the cache is filled by asking the mocks through the broker. Then the same persons are asked about in requests that
mix them in another order, so that the records of one request do not lie together. All these answers are recomputed from
the mocks' seed, and the replies kept as references. During the measurement the same requests are sent again and again,
and every reply is compared with its reference, byte by byte; a reply that differs is recomputed, too.

`ratio_to_raw_store` compares lookups/s with what LMDB's own `getmulti` reads from the same file afterwards, in this
process, with as many random records per call: without decryption, requests or replies.
"""

import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import lmdb

from benchmarks.answer_check import AnswerChecker, CheckResult
from benchmarks.load_generator import LoadResult, requests, run_load, sample, uvloop_runner
from benchmarks.output import print_result, progress
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, open_testbed
from broker.store.lmdb_check import ENGINE

_RAW_SECONDS = 2.0  # enough for some millions of reads


@click.command(help=__doc__)
@click.option("--subjects", default=200_000, show_default=True, help="Different persons in the cache.")
@click.option("--seconds", default=10.0, show_default=True, help="Duration of the measurement.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests in flight, each over its own connection.")
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, seconds: float, batch: int, streams: int, seed: int) -> None:
    """Run the benchmark."""
    lookups = sample(seed, subjects)
    filling = requests(lookups, batch)
    bodies = requests(random.Random(seed).sample(lookups, len(lookups)), batch)
    checker = AnswerChecker(seed, lookups, FOUR)
    with open_testbed(seed=seed) as testbed, uvloop_runner() as runner, progress() as bar:
        task = bar.add_task("filling the cache", total=None)
        ask = partial(run_load, testbed.address, streams=streams, advance=lambda count: bar.advance(task, count))
        runner.run(ask(iter(filling)))
        references = ReferenceReplies()
        bar.update(task, description="checking the cache")
        wrong = 0
        while (seen := runner.run(ask(iter(bodies), keep=references.learn))).kept:  # until everything is committed
            wrong += checker.check(seen.kept).wrong
        bar.update(task, description="asking")
        with ResourceMeter(testbed) as meter:
            result = runner.run(ask(repeated(bodies, seconds, seed), keep=references.differs))
        bar.update(task, description="reading the file without a broker")
        raw = raw_rate(testbed.folder / "cache", batch, seed)
    if wrong or seen.lookups != len(lookups):
        raise SystemExit(f"before the measurement, {wrong} answers were wrong")
    _print(result, checker.check(result.kept), meter, raw)


class ReferenceReplies:
    """What came back to each request before the measurement."""

    def __init__(self) -> None:
        self._messages: dict[bytes, Sequence[bytes]] = {}

    def learn(self, body: bytes, messages: Sequence[bytes]) -> bool:
        """Remembers a reply. Returns whether it differs from the one before, and so has to be checked."""
        known = self._messages.get(body)
        self._messages[body] = messages
        return messages != known

    def differs(self, body: bytes, messages: Sequence[bytes]) -> bool:
        """Whether a reply differs from its reference, and so has to be checked."""
        return messages != self._messages[body]


def repeated(bodies: Sequence[bytes], seconds: float, seed: int) -> Iterator[bytes]:
    """Requests drawn at random, for so long."""
    rng = random.Random(seed)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield rng.choice(bodies)


def raw_rate(folder: Path, batch: int, seed: int) -> float:
    """Records per second that `getmulti` alone reads from a store's file, `batch` random ones per call.

    A record has been read when its block, a page of some ten records, has; so a call reads `batch` blocks.
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


def _print(result: LoadResult, check: CheckResult, meter: ResourceMeter, raw: float) -> None:
    rate = result.inquiries / meter.seconds
    lookups = result.lookups / meter.seconds
    cost = meter.broker_cpu / max(1, result.inquiries) * 1e6
    lost = result.lookups - result.discarded - check.reports
    rows = {
        "inquiries": f"{result.inquiries:,} in {meter.seconds:.1f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{lookups:,.0f}",
        "ratio to LMDB's getmulti alone": f"{lookups / raw:.2f} of {raw:,.0f} records/s",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "CPU in use": f"broker {meter.broker_cpu / meter.seconds:.0%}, client {meter.client_cpu / meter.seconds:.0%}",
        "memory of the largest worker": f"{meter.peak_rss_mib:.0f} MiB",
        "answers from the cache": f"{result.from_cache / max(1, result.inquiries):.1%}",
        "wrong answers": f"{check.wrong} of {check.checked:,} that were not in a reply equal to its reference",
        "lost": str(lost),
    }
    json_result: dict[str, object] = {
        "benchmark": "hits",
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(lookups),
        "ratio_to_raw_store": round(lookups / raw, 3),
        "raw_store_per_second": round(raw),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "wrong_answers": check.wrong,
        "answers_checked": result.inquiries,
        "lost": lost,
        "peak_rss_mib": round(meter.peak_rss_mib),
    }
    print_result("Cached lookups, four institutions", rows, json_result)


if __name__ == "__main__":
    main()
