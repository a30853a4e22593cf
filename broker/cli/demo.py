"""`broker demo`: what `make demo` and `make serve` run."""

import asyncio
import signal
import tempfile
from pathlib import Path

import click

from broker.cli.exits import Exit, fail
from broker.client import Client, ClientError
from broker.demo.scenario import Play
from broker.demo.testbed import DemoFailedError, running, stage
from broker.formats.tables import console


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the population.")
@click.option("--lookups", type=click.IntRange(min=40), default=4000, show_default=True, help="Of all courts together.")
@click.option(
    "--serve", "serving", is_flag=True, help="Only start mocks and broker, on their default ports; Ctrl-C ends."
)
def demo(seed: int, lookups: int, *, serving: bool) -> None:
    """Watch it work: mock institutions, a broker, and courts of four levels, on this machine alone.

    Starts everything at free ports with its files in a temporary folder, checks what it shows, and stops everything.
    Exit code 1 if anything was not as it should be.

    \b
    broker demo
    broker demo --lookups 20000 --seed 7
    broker demo --serve            then, elsewhere:  broker institutions
    """  # noqa: D301 - click reads the backspaces
    try:
        asyncio.run(_serve(seed) if serving else _perform(seed, lookups))
    except (DemoFailedError, ClientError) as error:
        fail(f"the demo failed: {error}", Exit.PARTIAL)


async def _perform(seed: int, lookups: int) -> None:
    screen = console()
    screen.print("starting mock institutions and a broker …")
    with tempfile.TemporaryDirectory(prefix="broker-demo-") as folder:
        async with stage(Path(folder), seed) as everything, Client(everything.address) as client:
            play = Play(everything, client, screen, seed=seed)
            await play.perform(lookups)
        screen.print()
    click.echo(str(play.score))


async def _serve(seed: int) -> None:
    """Both children share this program's terminal, so Ctrl-C reaches them too; SIGTERM is handed on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="broker-serve-") as folder:
        logs = Path(folder)
        async with (
            running("mock_institutions", "serve", "--seed", str(seed), log=logs / "mocks.log") as mocks,
            running("broker", "serve", log=logs / "broker.log") as broker,
        ):
            for name, url in mocks.said["institutions"].items():
                click.echo(f"{name:18} {url}")
            click.echo(f"{'broker, gRPC':18} {broker.said['grpc']}\n{'broker, metrics':18} {broker.said['metrics']}")
            click.echo("Ctrl-C ends all of it")
            ends = [asyncio.ensure_future(one) for one in (stop.wait(), mocks.ended(), broker.ended())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for one in ends:
                one.cancel()
    if not stop.is_set():
        msg = "a program ended on its own"
        raise DemoFailedError(msg)
