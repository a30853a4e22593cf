"""A nation's inquiries end to end: re-queries, subjects that many courts share, people, organisations and things.

    python -m benchmarks.replay --inquiries 195000000 [--folder var/replay] [--minutes 40] [--lifetime 60]

The workload is drawn from a seed; every assumption in it is an option. Bulk requests run with one-lookup requests
beside them, against a broker with its store on disk, and four mock institutions. Everything stays in the folder:
after Ctrl-C, after --minutes (exit code 3) or after a crash the same command resumes. It ends with a table, replay.csv
(a line per second), replay.png, and one JSON object.

Every lookup's report is counted. Of the portions the workload is cut into, some, evenly spread, are recomputed from the
mocks' seed when the clock has stopped. Nothing asked twice means that the mocks were asked no more than there are
different inquiries; with answers that expire during the run (--lifetime), that the mocks saw no question come while
their answer to it was still good. (What mocks counted within seconds of a crash is lost with them, and what the broker
had not written by then is asked anew.)
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
from benchmarks.hits import uvloop_runner
from benchmarks.lasting import lasting_stage
from benchmarks.logbook import Logbook, Sample, Totals
from benchmarks.pool import Pool, Portions, prepare
from benchmarks.sitting import Pace, Sitting
from benchmarks.stage import report
from benchmarks.traffic import progress
from benchmarks.truth import Truth, total
from benchmarks.workload import Shape

_UNFINISHED = 3  # exit code


def shape_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for every parameter of the workload."""
    for each in reversed(fields(Shape)):
        name, text = f"--{each.name.replace('_', '-')}", each.metadata["help"]
        command = click.option(name, default=each.default, show_default=True, help=text)(command)
    return command


@click.command(help=__doc__)
@shape_options
@click.option("--folder", type=click.Path(path_type=Path), default=Path("var/replay"), show_default=True)
@click.option("--minutes", default=40.0, show_default=True, help="Stop after so long; the same command resumes.")
@click.option("--lifetime", default=30 * 86_400.0, show_default=True, help="Seconds an answer may be served again.")
@click.option("--dialect", type=click.Choice(["mixed", "json", "protobuf"]), default="mixed", show_default=True)
@click.option("--workers", type=int, help="Of the broker. [default: as its configuration says]")
@click.option("--streams", default=16, show_default=True, help="Portions under way at a time.")
@click.option("--channels", default=64, show_default=True, help="Connections they are spread over, as of many courts.")
@click.option("--checked", default=100, show_default=True, help="About so many portions are recomputed.")
def main(*, folder: Path, lifetime: float, dialect: str, workers: int | None, **rest: Any) -> None:
    """Run it."""
    minutes, streams, channels, checked = (rest.pop(name) for name in ("minutes", "streams", "channels", "checked"))
    try:
        shape = Shape(**rest)
        book = Logbook(folder, asdict(shape) | {"lifetime": lifetime, "dialect": dialect})
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if book.is_new:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    pool = _prepared(folder / "workload", shape)
    portions = Portions(shape, pool)
    pace = Pace(seconds=minutes * 60, streams=streams, channels=channels, check_every=max(1, portions.count // checked))
    with (
        lasting_stage(folder, seed=shape.seed, dialect=dialect, lifetime=lifetime, workers=workers) as scene,
        uvloop_runner() as runner,
        progress() as bar,
    ):
        sitting = Sitting(scene, book, portions, pace)
        task = bar.add_task("asking", total=portions.count, completed=book.totals.portions)
        runner.run(sitting.run(lambda ended: bar.update(task, completed=ended)))
    _check(sitting, Truth(shape.seed, pool.lookup), book.totals)
    finished = book.totals.portions == portions.count
    book.save(finished=finished)
    if book.totals.failed:
        click.echo(f"{book.totals.failed} requests failed: see {folder}/broker.log", err=True)
    samples = book.samples()
    plot.draw(samples, folder / "replay.png", title=f"{book.totals.inquiries:,} inquiries")
    different = pool.schedule.asked(portions.searches(book.totals.portions))
    _report(book.totals, samples, different=different, expires=lifetime < book.totals.seconds, finished=finished)
    sys.exit(0 if finished else _UNFINISHED)


def _prepared(folder: Path, shape: Shape) -> Pool:
    with progress() as bar:
        task = bar.add_task("preparing the lookups", total=None)
        prepare(folder, shape, lambda done, all_: bar.update(task, completed=done, total=all_))
    return Pool(folder)


def _check(sitting: Sitting, truth: Truth, totals: Totals) -> None:
    with progress() as bar:
        kept = bar.track(sitting.kept, description="checking")
        checked, wrong = total(truth.check(request, reply.messages) for request, reply in kept)
    totals.checked += checked
    totals.wrong += wrong


def _report(totals: Totals, samples: Sequence[Sample], *, different: int, expires: bool, finished: bool) -> None:
    """Prints the table and the result. `different`: inquiries among those sent so far."""
    rate, cost = totals.inquiries / totals.seconds, totals.broker_cpu / max(1, totals.inquiries) * 1e6
    asked_twice = totals.duplicates if expires else max(totals.duplicates, totals.asked - different)
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
        "different": different,
        "from_cache": round(totals.from_cache / max(1, totals.inquiries), 4),
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "mocks_cpu_us_per_inquiry": round(totals.mocks_cpu / max(1, totals.inquiries) * 1e6, 3),
        "client_cpu_us_per_inquiry": round(totals.client_cpu / max(1, totals.inquiries) * 1e6, 3),
        **_courses(samples),
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
        "asked twice": f"{asked_twice} ({totals.asked:,} asked, {different:,} different)",
        "bulk, to the last report": "p50 {bulk_p50_ms} ms, p99 {bulk_p99_ms} ms".format(**result),
        "interactive": "p50 {interactive_p50_ms} ms, p99 {interactive_p99_ms} ms".format(**result),
        "broker's memory": "{rss_first_mib} MiB at first, {rss_last_mib} at last, {peak_rss_mib} at most".format(
            **result
        ),
        "store": "{store_mib} MiB on disk, {records:,} subjects".format(**result),
    }
    report("A nation's inquiries" if finished else "A nation's inquiries, so far", rows, result)


def _courses(samples: Sequence[Sample]) -> dict[str, object]:
    """What the series comes to: medians over all seconds of their latencies, and the store and memory at both ends."""
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
    """None of nothing."""
    values = [value for sample in samples if not isnan(value := getattr(sample, name))]
    return round(median(values), 2) if values else None


if __name__ == "__main__":
    main()
