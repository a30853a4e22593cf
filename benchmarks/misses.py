"""Throughput of lookups nobody has asked before: gRPC in, HTTP to the mocks, into LMDB, and streamed back.

    python -m benchmarks.misses [--subjects 150000] [--dialect json|protobuf] [--batch 1000] [--streams 16]

Every person is asked about once, at four mock institutions. All answers are recomputed from the mocks' seed after the
measurement, and the mocks' own counters must show that each inquiry reached them once.
"""

import click

from benchmarks.answer_check import AnswerChecker, CheckResult
from benchmarks.load_generator import LoadResult, requests, run_load, sample, uvloop_runner
from benchmarks.message_buffer import BYTES_PER_LOOKUP, MessageBuffer
from benchmarks.output import print_result, progress
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, open_testbed


@click.command(help=__doc__)
@click.option("--subjects", default=150_000, show_default=True, help="Different persons to ask about.")
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=16, show_default=True, help="Requests in flight, each over its own connection.")
@click.option("--seed", default=1, show_default=True)
def main(*, subjects: int, dialect: str, batch: int, streams: int, seed: int) -> None:
    """Run the benchmark."""
    lookups = sample(seed, subjects)
    bodies = requests(lookups, batch)
    checker = AnswerChecker(seed, lookups, FOUR)
    buffer = MessageBuffer(capacity=BYTES_PER_LOOKUP * len(lookups))
    with open_testbed(seed=seed, dialect=dialect) as testbed, uvloop_runner() as runner:
        with progress() as bar, ResourceMeter(testbed) as meter:
            task = bar.add_task("asking", total=len(lookups))
            result = runner.run(
                run_load(
                    testbed.address,
                    iter(bodies),
                    streams=streams,
                    advance=lambda count: bar.advance(task, count),
                    buffer=buffer,
                )
            )
        stats = testbed.stats()
        duplicates = sum(stats[name]["duplicates"] for name in FOUR)
    _print(result, checker.check(result.kept), meter, duplicates, dialect)


def _print(result: LoadResult, check: CheckResult, meter: ResourceMeter, duplicates: int, dialect: str) -> None:
    rate = result.inquiries / meter.seconds
    cost = meter.broker_cpu / max(1, result.inquiries) * 1e6
    lost = result.lookups - check.reports
    mock_cost = meter.mocks_cpu / max(1, result.inquiries) * 1e6
    rows = {
        "inquiries": f"{result.inquiries:,} in {meter.seconds:.1f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{result.lookups / meter.seconds:,.0f}",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "mocks' CPU per inquiry": f"{mock_cost:.2f} µs",
        "CPU in use": f"broker {meter.broker_cpu / meter.seconds:.0%}, mocks {meter.mocks_cpu / meter.seconds:.0%},"
        f" client {meter.client_cpu / meter.seconds:.0%}",
        "memory of the largest worker": f"{meter.peak_rss_mib:.0f} MiB",
        "duplicate inquiries": str(duplicates),
        "without an answer": str(result.unanswered),
        "wrong answers": f"{check.wrong} of {check.checked:,} checked",
        "lost": str(lost),
    }
    json_result: dict[str, object] = {
        "benchmark": "misses",
        "dialect": dialect,
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(result.lookups / meter.seconds),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "wrong_answers": check.wrong,
        "answers_checked": check.checked,
        "asked_twice": duplicates,
        "unanswered": result.unanswered,
        "lost": lost,
        "peak_rss_mib": round(meter.peak_rss_mib),
    }
    print_result(f"Lookups nobody has asked before, four institutions, {dialect}", rows, json_result)


if __name__ == "__main__":
    main()
