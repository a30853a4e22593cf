"""Where a worker's CPU time goes while it works: the cost of each step, in the running system.

    python -m benchmarks.inside [--path misses|hits] [--dialect json|protobuf] [--subjects 100000]

`benchmarks.steps` times pure functions alone on the machine, again and again on the same data. Here the same functions
are timed in a broker that answers real requests, each by the CPU clock of the thread it runs in and without the steps
it calls, so that a step is told from what it costs to get there: gRPC, the loops, other threads. The broker has one
worker, which hands nothing over.
"""

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.hits import References, uvloop_runner
from benchmarks.stage import Stage, Stopwatch, report, stage
from benchmarks.timed_worker import ACCOUNT
from benchmarks.traffic import drive, requests, sample

_ROOT = Path(__file__).parent.parent
_LONGEST = 10.0  # s the broker may take to write its account
_ROUNDS = 8  # times all subjects are asked about again for hits: as many seconds or so as asking the first time


@click.command(help=__doc__)
@click.option("--path", "kind", type=click.Choice(["misses", "hits"]), default="misses", show_default=True)
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--subjects", default=100_000, show_default=True, help="Different persons.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests at a time.")
@click.option("--seed", default=1, show_default=True)
def main(*, kind: str, dialect: str, subjects: int, batch: int, streams: int, seed: int) -> None:
    """Run it."""
    os.environ["PYTHONPATH"] = str(_ROOT)  # for the broker, which is a program of ours and runs in another folder
    lookups = sample(seed, subjects)
    fresh = requests(lookups, batch)
    program = ("benchmarks.timed_worker", "serve", "--workers", "1")
    with stage(seed=seed, dialect=dialect, program=program) as scene, uvloop_runner() as runner:
        if kind == "hits":
            runner.run(drive(scene.address, iter(fresh), streams=streams))
            mixed = requests(random.Random(seed).sample(lookups, len(lookups)), batch)
            references = References()
            while runner.run(drive(scene.address, iter(mixed), streams=streams, keep=references.learn)).kept:
                pass  # until all is committed, as in benchmarks.hits
            bodies: Sequence[bytes] = mixed * _ROUNDS
        else:
            bodies = fresh
        _account(scene)
        with Stopwatch(scene) as watch:
            received = runner.run(drive(scene.address, iter(bodies), streams=streams, keep=lambda *_: False))
        costs = _account(scene)
    unit, count = ("lookup", received.lookups) if kind == "hits" else ("inquiry", received.inquiries)
    steps = {name: seconds / count * 1e6 for name, seconds in sorted(costs.items(), key=lambda one: -one[1])}
    rows = {name: f"{cost:.2f} µs per {unit}" for name, cost in steps.items()}
    rows |= {"all": f"{sum(steps.values()):.2f} µs per {unit}"}
    result: dict[str, object] = {
        "benchmark": "inside",
        "path": kind,
        "dialect": dialect,
        "inquiries_per_second": round(received.inquiries / watch.seconds),
        f"us_per_{unit}": {name: round(cost, 3) for name, cost in steps.items()},
    }
    report(f"CPU time of one worker: {kind}, {dialect}", rows, result)


def _account(scene: Stage) -> dict[str, float]:
    """Seconds by step since the last time."""
    account = scene.folder / ACCOUNT
    account.unlink(missing_ok=True)
    (worker,) = scene.broker.said["workers"]
    os.kill(worker["pid"], signal.SIGUSR1)
    end = time.monotonic() + _LONGEST
    while not account.exists():
        if time.monotonic() > end:
            raise SystemExit("the broker gave no account of itself")
        time.sleep(0.05)
    seconds: dict[str, float] = json.loads(account.read_text(encoding="utf-8"))
    return seconds


if __name__ == "__main__":
    main()
