"""Is the new version slower than the old one? Runs benchmarks of both, in turns, and compares them pair by pair.

\b
    python -m benchmarks.compare v1.2.0 HEAD
    python -m benchmarks.compare HEAD . --benchmark hits --pairs 12
    python -m benchmarks.compare ../before ../after --benchmark misses -- --subjects 50000

OLD and NEW are git commits of the repository in the current folder (hashes, tags, branches), or folders that hold a
checkout. Changes that are not committed are measured by naming the folder, such as `.`. Commits are checked out into
temporary git worktrees, which are removed at the end, also after Ctrl-C or an error.

Both versions run in this Python environment, so they must need the same packages. What follows `--` is passed to each
benchmark: it must be an option of all those that are run.

The two runs of a pair follow each other, and the order alternates: old new, new old, old new. So the ratio of a pair
depends little on how busy the machine is, and the median of the ratios decides. The interval beside it contains the
true median with the stated probability (sign test; with six pairs it reaches from the smallest ratio to the largest, at
97 %). If the interval contains the limit, or there are fewer than six pairs, the verdict is uncertain: run more pairs.
Let nothing else run on the machine.

A run takes about half a minute, so the three benchmarks with six pairs take about twenty minutes.

\b
Exit codes:
    0    no benchmark is slower than tolerated, by the median of its rates
    1    a benchmark is slower
    2    usage
    3    a benchmark failed, or not all of its answers were right
    130  interrupted
"""  # noqa: D301 - \\b tells click to keep the lines of a paragraph

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.compare.benchmark_run import BENCHMARKS, RunError, run
from benchmarks.compare.checkouts import Checkout, VersionError, open_checkouts
from benchmarks.compare.results import ComparisonResult, Measurements, compare
from benchmarks.output import print_json, print_table, progress
from benchmarks.pairs import RatioSummary, Side, Verdict, order

_EXIT_SLOWER = 1
_EXIT_FAILED = 3
_EXIT_INTERRUPTED = 130  # 128 + SIGINT
_NAMES = {Side.A: "old", Side.B: "new"}


class Percentage(click.ParamType[float]):
    """A percentage such as "3%", as a share: 0.03."""

    name = "percentage"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`."""
        if isinstance(value, float):
            return value
        try:
            share = float(str(value).strip().removesuffix("%")) / 100
        except ValueError:
            self.fail(f"{value} is not a percentage", param, ctx)
        if not 0 <= share < 1:
            self.fail("must be at least 0 % and less than 100 %", param, ctx)
        return share


@click.command(help=__doc__)
@click.argument("old")
@click.argument("new")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS OF THE BENCHMARK]")
@click.option(
    "--benchmark",
    "benchmarks",
    type=click.Choice(list(BENCHMARKS)),
    multiple=True,
    help="What to run; may be given several times. Default: all.",
)
@click.option("--pairs", type=click.IntRange(min=1), default=6, show_default=True, help="Runs of each version.")
@click.option("--tolerance", type=Percentage(), default="3%", show_default=True, help="How much slower new may be.")
def main(
    *, old: str, new: str, options: tuple[str, ...], benchmarks: tuple[str, ...], pairs: int, tolerance: float
) -> None:
    """Run the comparison."""
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever started this may have had SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    chosen = tuple(dict.fromkeys(benchmarks)) or tuple(BENCHMARKS)
    measurements = Measurements()
    failure = ""
    try:
        with open_checkouts((old, new), Path.cwd()) as checkouts:
            try:
                _measure(measurements, checkouts, list(_turns(chosen, pairs)), options)
            except RunError as error:
                failure = str(error)
    except VersionError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(_EXIT_INTERRUPTED)
    taken = {name: measurements.pairs(name) for name in chosen}
    results = {name: compare(each, tolerance) for name, each in taken.items() if each}
    _print(checkouts, results, tolerance, failure)
    if failure:
        click.echo(failure, err=True)
        sys.exit(_EXIT_FAILED)
    sys.exit(_EXIT_SLOWER if any(result.verdict.slower for result in results.values()) else 0)


_Turn = tuple[int, str, Side]
"""Pair, benchmark, and which version."""


def _turns(benchmarks: Sequence[str], pairs: int) -> Iterator[_Turn]:
    """All runs in order: a pair of each benchmark, then the next pair of each, so that each is spread over time."""
    for pair in range(pairs):
        for benchmark in benchmarks:
            for side in order(pair):
                yield pair, benchmark, side


def _measure(
    measurements: Measurements, checkouts: Sequence[Checkout], turns: Sequence[_Turn], options: Sequence[str]
) -> None:
    with progress() as bar:
        task = bar.add_task("", total=len(turns))
        for pair, benchmark, side in turns:
            name = f"{benchmark}, pair {pair + 1}, {_NAMES[side]} version"
            bar.update(task, description=name)
            try:
                measured = run(benchmark, checkouts[side].folder, options)
            except RunError as error:
                msg = f"{name} ({checkouts[side].version}): {error}"
                raise RunError(msg) from None
            measurements.add(benchmark, pair, side, measured)
            bar.advance(task)


def _print(checkouts: Sequence[Checkout], results: dict[str, ComparisonResult], tolerance: float, failure: str) -> None:
    columns = ("", "old", "new", "new / old, by pair", "median", "interval", "verdict")
    rows = [row for name, result in results.items() for row in _rows(name, result, tolerance)]
    named = [f"{one.version} ({one.commit})" if one.commit else one.version for one in checkouts]
    if rows:
        print_table(f"old: {named[Side.A]}, new: {named[Side.B]}", columns, rows)
    print_json(
        {
            "benchmark": "compare",
            **{_NAMES[side]: {"version": checkouts[side].version, "commit": checkouts[side].commit} for side in Side},
            "tolerance": tolerance,
            "failure": failure or None,
            "results": {name: _as_json(result) for name, result in results.items()},
        }
    )


def _rows(name: str, result: ComparisonResult, tolerance: float) -> list[tuple[str, ...]]:
    return [
        (
            f"{name}, inquiries/s",
            *(f"{rate:,.0f}" for rate in result.rates),
            *_ratio_cells(result.rate_ratios, result.rate),
            in_words(result.verdict, tolerance),
        ),
        (
            f"{name}, CPU/inquiry",
            *(f"{cost:.2f} µs" for cost in result.cpu),
            *_ratio_cells(result.cpu_ratios, result.cpu_per_inquiry),
            "",
        ),
    ]


def _ratio_cells(ratios: Sequence[float], summary: RatioSummary) -> tuple[str, str, str]:
    interval = f"{summary.low:.3f} – {summary.high:.3f} ({summary.confidence:.0%})"
    return " ".join(f"{ratio:.3f}" for ratio in ratios), f"{summary.median:.3f}", interval


def in_words(verdict: Verdict, tolerance: float) -> str:
    """The verdict on a benchmark, such as "within 3 %"."""
    judgement = f"{'slower by more than' if verdict.slower else 'within'} {tolerance * 100:.3g} %"
    return judgement if verdict.certain else f"{judgement}, uncertain"


def _as_json(result: ComparisonResult) -> dict[str, object]:
    return {
        "inquiries_per_second": {_NAMES[side]: round(result.rates[side]) for side in Side},
        "broker_cpu_us_per_inquiry": {_NAMES[side]: round(result.cpu[side], 3) for side in Side},
        "rate_ratios": [round(ratio, 4) for ratio in result.rate_ratios],
        "rate_ratio": _summary_as_json(result.rate),
        "cpu_ratios": [round(ratio, 4) for ratio in result.cpu_ratios],
        "cpu_ratio": _summary_as_json(result.cpu_per_inquiry),
        "verdict": {"slower": result.verdict.slower, "certain": result.verdict.certain},
    }


def _summary_as_json(summary: RatioSummary) -> dict[str, float]:
    return {
        "median": round(summary.median, 4),
        "low": round(summary.low, 4),
        "high": round(summary.high, 4),
        "confidence": round(summary.confidence, 4),
    }


if __name__ == "__main__":
    main()
