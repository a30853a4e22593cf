"""How fast questions nobody asked before are answered: real gRPC in, real HTTP out, into LMDB, streamed back.

    python -m benchmarks.misses [--subjects 150000] [--dialect json|protobuf] [--batch 1000] [--streams 16]

Every person is asked about once, at four mock institutions. All answers are recomputed from the mocks' seed once the
clock has stopped, and the mocks' own counts must show that each question was asked once.
"""

import click

from benchmarks.hits import uvloop_runner
from benchmarks.shelf import ROOM_PER_LOOKUP, Shelf
from benchmarks.stage import FOUR, Stopwatch, report, stage
from benchmarks.traffic import Checker, Received, Verdict, drive, progress, requests, sample


@click.command(help=__doc__)
@click.option("--subjects", default=150_000, show_default=True, help="Different persons to ask about.")
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=16, show_default=True, help="Requests at a time.")
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, dialect: str, batch: int, streams: int, seed: int) -> None:
    """Run it."""
    lookups = sample(seed, subjects)
    bodies = requests(lookups, batch)
    checker = Checker(seed, lookups, FOUR)
    shelf = Shelf(room=ROOM_PER_LOOKUP * len(lookups))
    with stage(seed=seed, dialect=dialect) as scene, uvloop_runner() as runner:
        with progress() as bar, Stopwatch(scene) as watch:
            task = bar.add_task("asking", total=len(lookups))
            received = runner.run(
                drive(
                    scene.address,
                    iter(bodies),
                    streams=streams,
                    advance=lambda count: bar.advance(task, count),
                    shelf=shelf,
                )
            )
        stats = scene.stats()
        asked_twice = sum(stats[name]["duplicates"] for name in FOUR)
    _report(received, checker.check(received), watch, asked_twice, dialect)


def _report(received: Received, verdict: Verdict, watch: Stopwatch, asked_twice: int, dialect: str) -> None:
    rate = received.inquiries / watch.seconds
    cost = watch.broker_cpu / max(1, received.inquiries) * 1e6
    lost = received.lookups - verdict.reports
    mock_cost = watch.mocks_cpu / max(1, received.inquiries) * 1e6
    rows = {
        "inquiries": f"{received.inquiries:,} in {watch.seconds:.1f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{received.lookups / watch.seconds:,.0f}",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "mocks' CPU per inquiry": f"{mock_cost:.2f} µs",
        "CPU in use": f"broker {watch.broker_cpu / watch.seconds:.0%}, mocks {watch.mocks_cpu / watch.seconds:.0%},"
        f" client {watch.client_cpu / watch.seconds:.0%}",
        "memory of the largest worker": f"{watch.peak_rss_mib:.0f} MiB",
        "asked twice": str(asked_twice),
        "without an answer": str(received.unanswered),
        "wrong answers": f"{verdict.wrong} of {verdict.checked:,} checked",
        "lost": str(lost),
    }
    result: dict[str, object] = {
        "benchmark": "misses",
        "dialect": dialect,
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(received.lookups / watch.seconds),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "wrong_answers": verdict.wrong,
        "answers_checked": verdict.checked,
        "asked_twice": asked_twice,
        "unanswered": received.unanswered,
        "lost": lost,
        "peak_rss_mib": round(watch.peak_rss_mib),
    }
    report(f"Lookups never asked before, four institutions, {dialect}", rows, result)


if __name__ == "__main__":
    main()
