"""Where a worker's CPU time goes under load: the cost of each step, in the running system.

    python -m benchmarks.worker_cpu [--path misses|hits] [--dialect json|protobuf] [--subjects 100000]

`benchmarks.steps` times pure functions alone on the machine, repeatedly on the same data. Here the same functions are
timed in a broker that answers real requests, by the CPU clock of the thread they run in and without the steps they
call. So a step can be told apart from what surrounds it: gRPC, the event loops, other threads. The broker has one
worker, and so no peers to forward requests to.
"""

import random
from collections.abc import Sequence

import click

from benchmarks.hits import ReferenceReplies
from benchmarks.load_generator import requests, run_load, sample, uvloop_runner
from benchmarks.output import print_result
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import open_testbed, with_audit_log
from benchmarks.worker_report import fetch, program

_ROUNDS = 8  # times all subjects are asked about again for hits, which takes about as long as asking the first time


@click.command(help=__doc__)
@click.option("--path", "kind", type=click.Choice(["misses", "hits"]), default="misses", show_default=True)
@click.option("--dialect", type=click.Choice(["json", "protobuf"]), default="json", show_default=True)
@click.option("--subjects", default=100_000, show_default=True, help="Different persons.")
@click.option("--batch", default=1000, show_default=True, help="Lookups per request.")
@click.option("--streams", default=8, show_default=True, help="Requests in flight.")
@click.option("--audit", is_flag=True, help="With the audit log.")
@click.option("--seed", default=1, show_default=True)
def main(  # noqa: PLR0913 - one for each option
    *, kind: str, dialect: str, subjects: int, batch: int, streams: int, audit: bool, seed: int
) -> None:
    """Run the benchmark."""
    lookups = sample(seed, subjects)
    unasked = requests(lookups, batch)
    worker = program("instrumented_worker")
    configure = with_audit_log if audit else (lambda text, _: text)
    opened = open_testbed(seed=seed, dialect=dialect, program=worker, configure=configure)
    with opened as testbed, uvloop_runner() as runner:
        if kind == "hits":
            runner.run(run_load(testbed.address, iter(unasked), streams=streams))
            mixed = requests(random.Random(seed).sample(lookups, len(lookups)), batch)
            references = ReferenceReplies()
            while runner.run(run_load(testbed.address, iter(mixed), streams=streams, keep=references.learn)).kept:
                pass  # until everything is committed, as in benchmarks.hits
            bodies: Sequence[bytes] = mixed * _ROUNDS
        else:
            bodies = unasked
        fetch(testbed)
        with ResourceMeter(testbed) as meter:
            load = runner.run(run_load(testbed.address, iter(bodies), streams=streams, keep=lambda *_: False))
        costs = fetch(testbed)
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


if __name__ == "__main__":
    main()
