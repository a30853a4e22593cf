"""Where a worker's CPU time goes under load: the cost of each step, in the running system.

    python -m benchmarks.worker_cpu [--path misses|hits] [--dialect json|protobuf] [--subjects 100000]

`benchmarks.steps` times pure functions alone on the machine, repeatedly on the same data. Here the same functions are
timed in a broker that answers real requests, by the CPU clock of the thread they run in and without the steps they
call. So a step can be told apart from what surrounds it: gRPC, the event loops, other threads. The broker has one
worker, and so no peers to forward requests to.
"""

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.hits import ReferenceReplies
from benchmarks.instrumented_worker import COSTS
from benchmarks.load_generator import requests, run_load, sample, uvloop_runner
from benchmarks.output import print_result
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import Testbed, open_testbed

_ROOT = Path(__file__).parent.parent
_TIMEOUT = 10.0  # s the broker may take to write its costs
_ROUNDS = 8  # times all subjects are asked about again for hits, which takes about as long as asking the first time


@click.command(help=__doc__)
@click.option("--path", "kind", type=click.Choice(["misses", "hits"]), default="misses", show_default=True)
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--subjects", default=100_000, show_default=True, help="Different persons.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests in flight.")
@click.option("--seed", default=1, show_default=True)
def main(*, kind: str, dialect: str, subjects: int, batch: int, streams: int, seed: int) -> None:
    """Run the benchmark."""
    os.environ["PYTHONPATH"] = str(_ROOT)  # for the instrumented worker, which runs in another folder
    lookups = sample(seed, subjects)
    unasked = requests(lookups, batch)
    program = ("benchmarks.instrumented_worker", "serve", "--workers", "1")
    with open_testbed(seed=seed, dialect=dialect, program=program) as testbed, uvloop_runner() as runner:
        if kind == "hits":
            runner.run(run_load(testbed.address, iter(unasked), streams=streams))
            mixed = requests(random.Random(seed).sample(lookups, len(lookups)), batch)
            references = ReferenceReplies()
            while runner.run(run_load(testbed.address, iter(mixed), streams=streams, keep=references.learn)).kept:
                pass  # until everything is committed, as in benchmarks.hits
            bodies: Sequence[bytes] = mixed * _ROUNDS
        else:
            bodies = unasked
        _costs(testbed)
        with ResourceMeter(testbed) as meter:
            load = runner.run(run_load(testbed.address, iter(bodies), streams=streams, keep=lambda *_: False))
        costs = _costs(testbed)
    unit, count = ("lookup", load.lookups) if kind == "hits" else ("inquiry", load.inquiries)
    steps = {name: seconds / count * 1e6 for name, seconds in sorted(costs.items(), key=lambda one: -one[1])}
    rows = {name: f"{cost:.2f} µs per {unit}" for name, cost in steps.items()}
    rows |= {"all": f"{sum(steps.values()):.2f} µs per {unit}"}
    result: dict[str, object] = {
        "benchmark": "worker_cpu",
        "path": kind,
        "dialect": dialect,
        "inquiries_per_second": round(load.inquiries / meter.seconds),
        f"us_per_{unit}": {name: round(cost, 3) for name, cost in steps.items()},
    }
    print_result(f"CPU time of one worker: {kind}, {dialect}", rows, result)


def _costs(testbed: Testbed) -> dict[str, float]:
    """CPU seconds by step since the last call."""
    path = testbed.folder / COSTS
    path.unlink(missing_ok=True)
    (worker,) = testbed.broker.announced["workers"]
    os.kill(worker["pid"], signal.SIGUSR1)
    end = time.monotonic() + _TIMEOUT
    while not path.exists():
        if time.monotonic() > end:
            raise SystemExit(f"the worker did not write {COSTS} within {_TIMEOUT:.0f} s")
        time.sleep(0.05)
    seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return seconds


if __name__ == "__main__":
    main()
