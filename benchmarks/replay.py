"""Replays the national workload end to end: repeated searches, shared subjects, persons, organisations, properties.

    python -m benchmarks.replay --inquiries 195000000 [--folder var/replay] [--minutes 40] [--ttl 60]

The workload is drawn from a seed; every assumption in it is an option. Bulk requests, with one-lookup requests beside
them, are sent to a broker with its store on disk and four mock institutions. Everything stays in the folder: after
Ctrl-C, after --minutes (exit code 3) or after a crash the same command resumes. It prints a table and one JSON object,
and writes replay.csv (a line per second) and replay.png.

Every lookup's report is counted. The workload is cut into portions, of which some, evenly spread, are recomputed from
the mocks' seed at the end. `asked_twice` is 0 if the mocks received no more inquiries than there are distinct ones;
with answers that expire during the run (--ttl), if the mocks received none while their earlier answer was still valid.
A crash loses the mocks' counts of its last seconds, and the broker asks again for what it had not yet written.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks import plot
from benchmarks.answer_check import add_up
from benchmarks.checkpoint import Checkpoint, RunTotals, Sample
from benchmarks.expected_answers import ExpectedAnswers
from benchmarks.load_generator import uvloop_runner
from benchmarks.output import print_result, progress
from benchmarks.persistent_testbed import persistent_testbed
from benchmarks.prepared_workload import Portions, PreparedWorkload, prepare
from benchmarks.replay_session import Pace, ReplaySession
from benchmarks.workload import WorkloadSpec

_UNFINISHED = 3  # exit code


def workload_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds an option for every parameter of the workload."""
    for each in reversed(fields(WorkloadSpec)):
        name, text = f"--{each.name.replace('_', '-')}", each.metadata["help"]
        command = click.option(name, default=each.default, show_default=True, help=text)(command)
    return command


@click.command(help=__doc__)
@workload_options
@click.option("--folder", type=click.Path(path_type=Path), default=Path("var/replay"), show_default=True)
@click.option("--minutes", default=40.0, show_default=True, help="Stop after so long; the same command resumes.")
@click.option("--ttl", default=30 * 86_400.0, show_default=True, help="Seconds until an answer expires.")
@click.option("--dialect", type=click.Choice(["mixed", "json", "protobuf"]), default="mixed", show_default=True)
@click.option("--workers", type=int, help="Workers of the broker. [default: as its configuration says]")
@click.option("--streams", default=16, show_default=True, help="Portions in flight.")
@click.option("--channels", default=64, show_default=True, help="Connections they are spread over, as of many courts.")
@click.option("--checked", default=100, show_default=True, help="About so many portions are recomputed.")
def main(*, folder: Path, ttl: float, dialect: str, workers: int | None, **rest: Any) -> None:
    """Run the benchmark, or resume it."""
    minutes, streams, channels, checked = (rest.pop(name) for name in ("minutes", "streams", "channels", "checked"))
    try:
        spec = WorkloadSpec(**rest)
        checkpoint = Checkpoint(folder, asdict(spec) | {"ttl": ttl, "dialect": dialect})
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if checkpoint.is_new:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    workload = _prepared(folder / "workload", spec)
    portions = Portions(spec, workload)
    pace = Pace(seconds=minutes * 60, streams=streams, channels=channels, check_every=max(1, portions.count // checked))
    totals = checkpoint.totals
    with (
        persistent_testbed(folder, seed=spec.seed, dialect=dialect, ttl=ttl, workers=workers) as testbed,
        uvloop_runner() as runner,
        progress() as bar,
    ):
        session = ReplaySession(testbed, checkpoint, portions, pace)
        task = bar.add_task("asking", total=portions.count, completed=totals.portions)
        runner.run(session.run(lambda ended: bar.update(task, completed=ended)))
    _check(session, ExpectedAnswers(spec.seed, workload.lookup), totals)
    finished = totals.portions == portions.count
    checkpoint.save(finished=finished)
    if totals.failed:
        click.echo(f"{totals.failed} requests failed: see {folder}/broker.log", err=True)
    samples = checkpoint.samples()
    plot.draw(samples, folder / "replay.png", title=f"{totals.inquiries:,} inquiries")
    distinct = workload.schedule.distinct_inquiries(portions.searches(totals.portions))
    _print(totals, samples, distinct=distinct, expires=ttl < totals.seconds, finished=finished)
    sys.exit(0 if finished else _UNFINISHED)


def _prepared(folder: Path, spec: WorkloadSpec) -> PreparedWorkload:
    with progress() as bar:
        task = bar.add_task("preparing the lookups", total=None)
        prepare(folder, spec, lambda done, all_: bar.update(task, completed=done, total=all_))
    return PreparedWorkload(folder)


def _check(session: ReplaySession, expected: ExpectedAnswers, totals: RunTotals) -> None:
    with progress() as bar:
        kept = bar.track(session.kept, description="checking")
        check = add_up(expected.check(request, result.messages) for request, result in kept)
    totals.checked += check.checked
    totals.wrong += check.wrong


def _print(totals: RunTotals, samples: Sequence[Sample], *, distinct: int, expires: bool, finished: bool) -> None:
    """Prints the table and the result. `distinct`: inquiries that differ among those sent so far."""
    rate, cost = totals.inquiries / totals.seconds, totals.broker_cpu / max(1, totals.inquiries) * 1e6
    asked_twice = totals.duplicates if expires else max(totals.duplicates, totals.asked - distinct)
    result: dict[str, object] = {
        "benchmark": "replay",
        "finished": finished,
        "inquiries": totals.inquiries,
        "seconds": round(totals.seconds, 1),
        "inquiries_per_second": round(rate),
        "lookups_per_second": round(totals.lookups / totals.seconds),
        "wrong_answers": totals.wrong + totals.surplus,
        "lost": totals.lost,
        "asked_twice": asked_twice,
        "checked": totals.checked,
        "unanswered": totals.unanswered,
        "failed_requests": totals.failed,
        "asked": totals.asked,
        "distinct": distinct,
        "from_cache": round(totals.from_cache / max(1, totals.inquiries), 4),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "mocks_cpu_us_per_inquiry": round(totals.mocks_cpu / max(1, totals.inquiries) * 1e6, 3),
        "client_cpu_us_per_inquiry": round(totals.client_cpu / max(1, totals.inquiries) * 1e6, 3),
        **_summary(samples),
        "peak_rss_mib": round(totals.peak_rss),
    }
    rows = {
        "inquiries": f"{totals.inquiries:,} in {totals.seconds:,.0f} s",
        "inquiries/s": f"{rate:,.0f}",
        "lookups/s": f"{totals.lookups / totals.seconds:,.0f}",
        "answers from the cache": f"{totals.from_cache / max(1, totals.inquiries):.1%}",
        "broker CPU per inquiry": f"{cost:.2f} µs",
        "lookups lost": str(totals.lost),
        "wrong answers": f"{totals.wrong} of {totals.checked:,} checked",
        "asked twice": f"{asked_twice} ({totals.asked:,} asked, {distinct:,} distinct)",
        "bulk requests, to the last report": "p50 {bulk_p50_ms} ms, p99 {bulk_p99_ms} ms".format(**result),
        "single lookups": "p50 {interactive_p50_ms} ms, p99 {interactive_p99_ms} ms".format(**result),
        "memory of the largest worker": (
            "{rss_first_mib} MiB at the start, {rss_last_mib} at the end, {peak_rss_mib} at most".format(**result)
        ),
        "store": "{store_mib} MiB on disk, {records:,} subjects".format(**result),
    }
    print_result("The national workload" if finished else "The national workload, so far", rows, result)


def _summary(samples: Sequence[Sample]) -> dict[str, object]:
    """Of all samples: the medians of the latencies, the memory at both ends, and the store at the end."""
    tenth = max(1, len(samples) // 10)
    names = [name for name in Sample._fields if name.endswith("_ms")]
    return {
        **{name: _median(samples, name) for name in names},
        "rss_first_mib": _median(samples[:tenth], "rss_mib"),
        "rss_last_mib": _median(samples[-tenth:], "rss_mib"),
        "store_mib": round(samples[-1].store_mib),
        "records": round(samples[-1].records),
    }


def _median(samples: Sequence[Sample], name: str) -> float | None:
    """None if no sample has a value."""
    values = [value for sample in samples if not isnan(value := getattr(sample, name))]
    return round(median(values), 2) if values else None


if __name__ == "__main__":
    main()
