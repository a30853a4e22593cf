"""The broker against Varnish, Redis, and the broker one would write first.

    python -m benchmarks.peers [--subjects 10000] [--seconds 4] [--rounds 3] [--fresh 25000]

On hits everybody hands out the same answers about the same persons. On misses the brokers ask the same mocks about
persons nobody asked about before; a straightforward one is given a part of them, since it would take minutes for all.
Needs Debian's varnish, redis-server and wrk: `make peers-system`.
"""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version

import click

from benchmarks.peers.contest import FIRST, NEXT, OURS, REDIS, VARNISH, Contest, Score, Setting, rate, ratio
from benchmarks.peers.daemon import missing, program
from benchmarks.peers.run import Run
from benchmarks.stage import FOUR, report, stage
from benchmarks.traffic import progress, sample

_EXIT_MISSING = 2


@click.command(help=__doc__)
@click.option("--subjects", default=10_000, show_default=True, help="Different persons everybody holds.")
@click.option("--fresh", default=25_000, show_default=True, help="Persons nobody holds, per round of misses.")
@click.option("--seconds", default=4, show_default=True, help="Of hits, per contender and round.")
@click.option("--rounds", default=3, show_default=True, help="FairLock of each contender, at most.")
@click.option("--limit", default=200, show_default=True, help="Seconds within which the last round has to end.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests at a time.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Of each straightforward broker.")
@click.option("--seed", default=1, show_default=True)
def main(*, limit: int, **options: int) -> None:
    """Run it."""
    absent = missing()
    if absent:
        click.echo(f"not installed: {', '.join(absent)}. `make peers-system` installs them (Debian, as root)", err=True)
        sys.exit(_EXIT_MISSING)
    setting = Setting(**options)
    lookups = sample(setting.seed, setting.subjects + setting.rounds * setting.fresh)
    end = time.monotonic() + limit
    with stage(seed=setting.seed) as scene, ExitStack() as stack:
        contest = Contest(setting, scene, lookups, stack)
        _play(contest, setting.rounds, end)
    _report(contest.score)


def _play(contest: Contest, rounds: int, end: float) -> None:
    """Takes every step there is time for: no round begins that would not be over by `end`, but for the first."""
    phases = [contest.preparations(), *map(contest.round, range(rounds)), contest.closing()]
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


def _report(score: Score) -> None:
    runs = list(score.runs())
    ours = rate(score.hits[OURS])
    cost = score.broker_cpu / sum(run.inquiries for run in score.hits[OURS]) * 1e6
    wrong, checked, lost = (sum(getattr(run, name) for run in runs) for name in ("wrong", "checked", "lost"))
    threads, connections = score.drive
    rows = {
        "hits/s: the broker": _spread(score.hits[OURS]),
        f"hits/s: Varnish, wrk -t{threads} -c{connections}": _compared(score.hits, VARNISH),
        "hits/s: Redis, MGET": _compared(score.hits, REDIS),
        "hits/s: the straightforward broker": _compared(score.hits, FIRST),
        "hits/s: the same, reads gathered": _compared(score.hits, NEXT),
        "misses/s: the broker": _spread(score.misses[OURS]),
        "misses/s: the straightforward broker": _compared(score.misses, FIRST),
        "misses/s: the same, reads gathered": _compared(score.misses, NEXT),
        "wrong answers": f"{wrong} of {checked:,} checked",
        "lost": str(lost),
    }
    result: dict[str, object] = {
        "benchmark": "peers",
        "inquiries_per_second": round(ours),
        "lookups_per_second": round(ours / len(FOUR)),
        "wrong_answers": wrong,
        "answers_checked": checked,
        "lost": lost,
        "broker_cpu_us_per_inquiry": round(cost, 3),
        "peak_rss_mib": round(score.peak_rss_mib),
        "hits_ratio_to_varnish": round(ratio(score.hits, VARNISH), 2),
        "hits_ratio_to_redis": round(ratio(score.hits, REDIS), 3),
        "hits_ratio_to_straightforward": round(ratio(score.hits, FIRST), 1),
        "hits_ratio_to_straightforward_gathered": round(ratio(score.hits, NEXT), 1),
        "misses_ratio_to_straightforward": round(ratio(score.misses, FIRST), 1),
        "misses_ratio_to_straightforward_gathered": round(ratio(score.misses, NEXT), 1),
        "hits_per_second": {name: [round(run.rate) for run in each] for name, each in score.hits.items()},
        "misses_per_second": {name: [round(run.rate) for run in each] for name, each in score.misses.items()},
        "rounds": len(score.hits[OURS]),
        "wrk": {"threads": threads, "connections": connections},
        "varnish_misses": score.varnish_misses,
        "peer_versions": _versions(),
    }
    report("The broker and its peers: inquiries per second, median of the rounds (lowest – highest)", rows, result)


def _spread(runs: list[Run]) -> str:
    rates = [run.rate for run in runs]
    return f"{rate(runs):,.0f} ({min(rates):,.0f} – {max(rates):,.0f})"


def _compared(runs: dict[str, list[Run]], name: str) -> str:
    return f"{_spread(runs[name])}; the broker: {ratio(runs, name):.3g} times as many"


def _versions() -> dict[str, str]:
    """Of everything only the peers need."""
    said = {
        "varnishd": _said("varnishd", "-V").partition("varnish-")[2],
        "redis-server": _said("redis-server", "--version").partition("v=")[2],
        "wrk": _said("wrk", "-v").partition("wrk ")[2],
    }
    return {name: text.split()[0] for name, text in said.items()} | {
        name: version(name) for name in ("redis", "hiredis")
    }


def _said(name: str, option: str) -> str:
    done = subprocess.run([program(name), option], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
