"""How fast cached answers go out: real gRPC, real LMDB, four institutions.

    python -m benchmarks.hits [--subjects 20000] [--seconds 10] [--batch 1000] [--streams 4]

The cache is filled through the broker itself, by asking the mocks; then the same lookups are asked again and again.
A sample of the answers is recomputed from the mocks' seed and compared.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

import click
import uvloop

from benchmarks.stage import FOUR, Stopwatch, report, stage
from benchmarks.traffic import Checker, Received, Verdict, drive, progress, requests, sample

_KEEP_EVERY = 20  # messages of a stream; enough to draw the sample from all of the run
_SAMPLE = 10_000  # reports recomputed: a second or two


@click.command(help=__doc__)
@click.option("--subjects", default=20_000, show_default=True, help="Different persons in the cache.")
@click.option("--seconds", default=10.0, show_default=True, help="How long to ask.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=4, show_default=True, help="Requests at a time.")
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, seconds: float, batch: int, streams: int, seed: int) -> None:
    """Run it."""
    lookups = sample(seed, subjects)
    bodies = requests(lookups, batch)
    checker = Checker(seed, lookups, FOUR)
    with stage(seed=seed) as scene:
        with uvloop_runner() as runner:
            runner.run(drive(scene.address, iter(bodies), streams=streams, keep_every=len(bodies)))
            with progress() as bar, Stopwatch(scene) as watch:
                task = bar.add_task("asking", total=None)
                received = runner.run(
                    drive(
                        scene.address,
                        _again_and_again(bodies, seconds, seed),
                        streams=streams,
                        keep_every=_KEEP_EVERY,
                        advance=lambda count: bar.advance(task, count),
                    )
                )
        _report(received, checker.check(received, _SAMPLE), watch, scene.broker.rss_mib())


def uvloop_runner() -> asyncio.Runner:
    """The client's loop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _again_and_again(bodies: Sequence[bytes], seconds: float, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield rng.choice(bodies)


def _report(received: Received, verdict: Verdict, watch: Stopwatch, rss: float) -> None:
    rate = received.inquiries / watch.seconds
    cost = watch.broker_cpu / max(1, received.inquiries) * 1e6
    rows = {
        "inquiries": f"{received.inquiries:,} in {watch.seconds:.1f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{received.lookups / watch.seconds:,.0f}",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "broker CPU in use": f"{watch.broker_cpu / watch.seconds:.0%} of a core",
        "answers from the cache": f"{received.from_cache / max(1, received.inquiries):.1%}",
        "wrong answers": f"{verdict.wrong} of {verdict.checked:,} checked",
    }
    result: dict[str, object] = {
        "benchmark": "hits",
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(received.lookups / watch.seconds),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "wrong_answers": verdict.wrong,
        "answers_checked": verdict.checked,
        "rss_mib": round(rss),
    }
    report("Cached lookups, four institutions", rows, result)


if __name__ == "__main__":
    main()
