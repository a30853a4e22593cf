"""The broker compared with Varnish, Redis, and a straightforward broker.

    python -m benchmarks.baselines [--subjects 10000] [--seconds 4] [--rounds 3] [--uncached 25000]

For hits, all systems return the same answers about the same persons. For misses, the brokers ask the same mocks about
persons nobody has asked about; a straightforward one is given a fraction of them, since all would take it minutes.
Needs Debian's varnish, redis-server and wrk: `make baselines-system`.
"""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version

import click

from benchmarks.baselines.comparison import (
    BATCHED,
    OURS,
    REDIS,
    STRAIGHTFORWARD,
    VARNISH,
    Comparison,
    Measurements,
    Parameters,
    rate,
    ratio,
)
from benchmarks.baselines.daemon import missing, program
from benchmarks.baselines.run import Run
from benchmarks.load_generator import sample
from benchmarks.output import print_result, progress
from benchmarks.testbed import FOUR, open_testbed

_EXIT_MISSING = 2


@click.command(help=__doc__)
@click.option("--subjects", default=10_000, show_default=True, help="Different persons all systems hold answers about.")
@click.option(
    "--uncached", default=25_000, show_default=True, help="Persons nobody has asked about, per round of misses."
)
@click.option("--seconds", default=4, show_default=True, help="Duration of hits, per system and round.")
@click.option("--rounds", default=3, show_default=True, help="Measurements of each system, at most.")
@click.option("--limit", default=200, show_default=True, help="Seconds within which the last round must end.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests in flight.")
@click.option(
    "--workers", default=os.cpu_count() or 1, show_default=True, help="Processes of each straightforward broker."
)
@click.option("--seed", default=1, show_default=True)
def main(*, limit: int, **options: int) -> None:
    """Run the comparison."""
    not_installed = missing()
    if not_installed:
        names = ", ".join(not_installed)
        click.echo(f"not installed: {names}. `make baselines-system` installs them (Debian, as root)", err=True)
        sys.exit(_EXIT_MISSING)
    parameters = Parameters(**options)
    lookups = sample(parameters.seed, parameters.subjects + parameters.rounds * parameters.uncached)
    end = time.monotonic() + limit
    with open_testbed(seed=parameters.seed) as testbed, ExitStack() as stack:
        comparison = Comparison(parameters, testbed, lookups, stack)
        _run(comparison, parameters.rounds, end)
    _print(comparison.measured)


def _run(comparison: Comparison, rounds: int, end: float) -> None:
    """Takes all steps. A round that would not end by `end` is left out, but never the first."""
    phases = [comparison.preparations(), *map(comparison.round, range(rounds)), comparison.closing()]
    longest = 0.0
    with progress() as bar:
        task = bar.add_task("", total=sum(map(len, phases)))
        for number, steps in enumerate(phases):
            began = time.monotonic()
            if 1 < number <= rounds and began + longest > end:
                continue
            for name, step in steps:
                bar.update(task, description=name)
                step()
                bar.advance(task)
            if number:
                longest = max(longest, time.monotonic() - began)


def _print(measured: Measurements) -> None:
    runs = list(measured.runs())
    ours = rate(measured.hits[OURS])
    cost = measured.broker_cpu / sum(run.inquiries for run in measured.hits[OURS]) * 1e6
    wrong, checked, lost = (sum(getattr(run, name) for run in runs) for name in ("wrong", "checked", "lost"))
    threads, connections = measured.wrk
    rows = {
        "hits/s: this broker": _spread(measured.hits[OURS]),
        f"hits/s: Varnish, wrk -t{threads} -c{connections}": _compared(measured.hits, VARNISH),
        "hits/s: Redis, MGET": _compared(measured.hits, REDIS),
        "hits/s: straightforward broker": _compared(measured.hits, STRAIGHTFORWARD),
        "hits/s: the same, reads batched": _compared(measured.hits, BATCHED),
        "misses/s: this broker": _spread(measured.misses[OURS]),
        "misses/s: straightforward broker": _compared(measured.misses, STRAIGHTFORWARD),
        "misses/s: the same, reads batched": _compared(measured.misses, BATCHED),
        "wrong answers": f"{wrong} of {checked:,} checked",
        "lost": str(lost),
    }
    result: dict[str, object] = {
        "benchmark": "baselines",
        "inquiries_per_second": round(ours),
        "lookups_per_second": round(ours / len(FOUR)),
        "wrong_answers": wrong,
        "answers_checked": checked,
        "lost": lost,
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "peak_rss_mib": round(measured.peak_rss_mib),
        "hits_ratio_to_varnish": round(ratio(measured.hits, VARNISH), 2),
        "hits_ratio_to_redis": round(ratio(measured.hits, REDIS), 3),
        "hits_ratio_to_straightforward": round(ratio(measured.hits, STRAIGHTFORWARD), 1),
        "hits_ratio_to_straightforward_batched": round(ratio(measured.hits, BATCHED), 1),
        "misses_ratio_to_straightforward": round(ratio(measured.misses, STRAIGHTFORWARD), 1),
        "misses_ratio_to_straightforward_batched": round(ratio(measured.misses, BATCHED), 1),
        "hits_per_second": {name: [round(run.rate) for run in each] for name, each in measured.hits.items()},
        "misses_per_second": {name: [round(run.rate) for run in each] for name, each in measured.misses.items()},
        "rounds": len(measured.hits[OURS]),
        "wrk": {"threads": threads, "connections": connections},
        "varnish_misses": measured.varnish_misses,
        "baseline_versions": _versions(),
    }
    print_result("Inquiries per second, median of the rounds (lowest – highest)", rows, result)


def _spread(runs: list[Run]) -> str:
    rates = [run.rate for run in runs]
    return f"{rate(runs):,.0f} ({min(rates):,.0f} – {max(rates):,.0f})"


def _compared(runs: dict[str, list[Run]], name: str) -> str:
    return f"{_spread(runs[name])}; this broker: {ratio(runs, name):.3g} times as many"


def _versions() -> dict[str, str]:
    """Of everything only the other systems need."""
    printed = {
        "varnishd": _output("varnishd", "-V").partition("varnish-")[2],
        "redis-server": _output("redis-server", "--version").partition("v=")[2],
        "wrk": _output("wrk", "-v").partition("wrk ")[2],
    }
    return {name: text.split()[0] for name, text in printed.items()} | {
        name: version(name) for name in ("redis", "hiredis")
    }


def _output(name: str, option: str) -> str:
    done = subprocess.run([program(name), option], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
