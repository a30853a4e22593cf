"""`broker demo`: what `make demo` and `make serve` run."""

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from broker.cli.connection import LOCAL_PROFILE
from broker.cli.exits import Exit, fail
from broker.client import Client, ClientError
from broker.config import DEFAULT
from broker.demo.certificates import Certificates
from broker.demo.scenario import Demo
from broker.demo.testbed import DemoFailedError, Program, running, testbed, with_free_ports, with_tls, with_urls
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
@click.option("--plain-text", is_flag=True, help="With --serve: without TLS, for a client that has no certificate yet.")
@click.option("--free-ports", is_flag=True, help="With --serve: on any free ports.")
@click.option(
    "--write", "folder", type=click.Path(file_okay=False, path_type=Path), help="Only write files; see below."
)
def demo(seed: int, lookups: int, *, serving: bool, folder: Path | None, **how: bool) -> None:
    """See it work: mock institutions, a broker, and courts of four levels on this machine.

    Runs everything on free ports, with its files in a temporary folder, verifies the results, and stops everything.
    The exit code is 1 if a result was wrong.

    \b
    broker demo
    broker demo --lookups 20000 --seed 7
    broker demo --serve            then, in another terminal:  broker institutions
    broker demo --write demo       for a broker and mocks that you start yourself

    Everything speaks mutual TLS. --serve keeps its certificates in var/serve, until it stops, with a profile by which
    `broker investigate`, `institutions` and `health` find them; other clients use ca.pem, gateway.pem, gateway-key.pem.

    --write makes the same files in a folder, for mocks on their default ports, and ends: certificates, broker.toml,
    policy.toml, profile.toml. Then: mock-institutions serve --tls DIR, and broker serve --config DIR/broker.toml.
    """  # noqa: D301 - click reads the backspaces
    if folder is not None:
        _write(folder)
        return
    try:
        asyncio.run(_serve(seed, **how) if serving else _run(seed, lookups))
    except (DemoFailedError, ClientError) as error:
        fail(f"the demo failed: {error}", Exit.PARTIAL)


def _write(folder: Path) -> None:
    certificates = Certificates.make(folder)
    text = with_tls(DEFAULT.read_text(encoding="utf-8"), certificates)
    (folder / "broker.toml").write_text(text, encoding="utf-8")
    certificates.write_profile("127.0.0.1:50051")


async def _run(seed: int, lookups: int) -> None:
    screen = console()
    screen.print("starting mock institutions and a broker …")
    with tempfile.TemporaryDirectory(prefix="broker-demo-") as folder:
        async with (
            testbed(Path(folder), seed) as programs,
            Client(programs.address, credentials=programs.credentials) as client,
        ):
            shown = Demo(programs, client, screen, seed=seed)
            await shown.run(lookups)
        screen.print()
    click.echo(str(shown.totals))


async def _serve(seed: int, *, plain_text: bool, free_ports: bool) -> None:
    """Runs mocks and broker until Ctrl-C, which reaches them as well, or SIGTERM, after which they are terminated."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="broker-serve-") as folder, _serve_folder() as own:
        logs = Path(folder)
        certificates = None if plain_text else Certificates.make(own)
        options = ["--seed", str(seed), *(["--port-base", "0"] if free_ports else [])]
        options += [] if certificates is None else ["--tls", str(own)]
        async with running("mock_institutions", "serve", *options, log=logs / "mocks.log") as mocks:
            urls = mocks.announced["institutions"]
            text = with_tls(with_urls(DEFAULT.read_text(encoding="utf-8"), urls), certificates)
            config = own / "broker.toml"
            config.write_text(with_free_ports(text) if free_ports else text, encoding="utf-8")
            async with running("broker", "serve", "--config", str(config), log=logs / "broker.log") as broker:
                if certificates is not None:
                    certificates.write_profile(broker.announced["grpc"])
                _announce(urls, broker)
                ends = [asyncio.ensure_future(one) for one in (stop.wait(), mocks.ended(), broker.ended())]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for one in ends:
                    one.cancel()
    if not stop.is_set():
        msg = "the mocks or the broker ended unexpectedly"
        raise DemoFailedError(msg)


@contextmanager
def _serve_folder() -> Iterator[Path]:
    """The folder of the certificates, which is removed at the end: a profile without its broker would mislead.

    Raises `DemoFailedError` if another one uses it.
    """
    folder = LOCAL_PROFILE.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "`make serve` already runs in this folder"
            raise DemoFailedError(msg) from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _announce(urls: dict[str, str], broker: Program) -> None:
    for name, url in urls.items():
        click.echo(f"{name:18} {url}")
    click.echo(f"{'broker, gRPC':18} {broker.announced['grpc']}\n{'broker, metrics':18} {broker.announced['metrics']}")
    click.echo("press Ctrl-C to stop")
