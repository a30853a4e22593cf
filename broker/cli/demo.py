"""`broker demo`: what `make demo` and `make serve` run."""

import asyncio
import signal
import tempfile
from pathlib import Path

import click

from broker.cli.exits import Exit, fail
from broker.client import Client, ClientError
from broker.demo.scenario import Demo
from broker.demo.testbed import DemoFailedError, running, testbed
from broker.formats.tables import console


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the population.")
@click.option(
    "--lookups",
    type=click.IntRange(min=40),
    default=4000,
    show_default=True,
    help="Number of lookups of all courts together.",
)
@click.option(
    "--serve", "serving", is_flag=True, help="Only run mocks and a broker on their default ports, until Ctrl-C."
)
def demo(seed: int, lookups: int, *, serving: bool) -> None:
    """See it work: mock institutions, a broker, and courts of four levels on this machine.

    Runs everything on free ports, with its files in a temporary folder, verifies the results, and stops everything.
    The exit code is 1 if a result was wrong.

    \b
    broker demo
    broker demo --lookups 20000 --seed 7
    broker demo --serve            then, in another terminal:  broker institutions
    """  # noqa: D301 - click reads the backspaces
    try:
        asyncio.run(_serve(seed) if serving else _run(seed, lookups))
    except (DemoFailedError, ClientError) as error:
        fail(f"the demo failed: {error}", Exit.PARTIAL)


async def _run(seed: int, lookups: int) -> None:
    screen = console()
    screen.print("starting mock institutions and a broker …")
    with tempfile.TemporaryDirectory(prefix="broker-demo-") as folder:
        async with testbed(Path(folder), seed) as programs, Client(programs.address) as client:
            shown = Demo(programs, client, screen, seed=seed)
            await shown.run(lookups)
        screen.print()
    click.echo(str(shown.totals))


async def _serve(seed: int) -> None:
    """Runs mocks and broker until Ctrl-C, which reaches them as well, or SIGTERM, after which they are terminated."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="broker-serve-") as folder:
        logs = Path(folder)
        async with (
            running("mock_institutions", "serve", "--seed", str(seed), log=logs / "mocks.log") as mocks,
            running("broker", "serve", log=logs / "broker.log") as broker,
        ):
            for name, url in mocks.announced["institutions"].items():
                click.echo(f"{name:18} {url}")
            click.echo(
                f"{'broker, gRPC':18} {broker.announced['grpc']}\n{'broker, metrics':18} {broker.announced['metrics']}"
            )
            click.echo("press Ctrl-C to stop")
            ends = [asyncio.ensure_future(one) for one in (stop.wait(), mocks.ended(), broker.ended())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for one in ends:
                one.cancel()
    if not stop.is_set():
        msg = "the mocks or the broker ended unexpectedly"
        raise DemoFailedError(msg)
