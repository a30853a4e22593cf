"""Runs one worker of a broker in this process, without a supervisor: for benchmarks that measure inside a worker.

A supervisor would start the worker as a process of its own, without the instrumentation, and would kill it if a step of
its loop took seconds, which is what a benchmark must be able to measure.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import click

from broker.config import load
from broker.institutions.dialects import DIALECTS
from broker.runtime.logs import log_to_stderr
from broker.runtime.supervisor_link import SupervisorLink
from broker.runtime.worker import ONLY_SLOT
from broker.runtime.worker_main import run_worker
from broker.runtime.worker_messages import Ready


class NoLink(SupervisorLink):
    """Prints what `broker serve` prints when it is ready, and reports to nobody."""

    def __init__(self) -> None:
        """Opens nothing."""
        self.gone = asyncio.Event()

    def progress(self, step: str, silence: float) -> None:
        """Does nothing."""

    def ready(self, message: Ready, stop: Callable[[], object], *, drain_period: float) -> None:  # noqa: ARG002
        """Prints the addresses."""
        worker = {"pid": message.pid, "grpc": message.grpc, "metrics": message.metrics}
        click.echo(json.dumps({"ready": True, **worker, "workers": [worker]}))


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), required=True)
def main(path: Path) -> None:
    """Run the worker until SIGTERM."""
    log_to_stderr()
    run_worker(load(path, dialects=frozenset(DIALECTS)), ONLY_SLOT, NoLink())
