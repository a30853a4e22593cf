"""`broker serve` and `broker config`: for whoever runs a broker."""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import TypeVar

import click
import prometheus_client
import uvloop
from msgspec import Struct
from msgspec.structs import replace

from broker.app import Addresses
from broker.app import serve as serve_until
from broker.cli.exits import Exit, fail
from broker.config import DEFAULT, Config, load
from broker.errors import ConfigError, StoreError
from broker.institutions.dialects import DIALECTS

S = TypeVar("S", bound=Struct)

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--config", "path", type=_path, help="TOML file; `broker config` shows all keys. The defaults without.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where courts call, instead of server.listen. Port 0: any free one."
)
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus reads, instead of server.metrics.")
@click.option("--store", metavar="FOLDER", help='Where answers are kept, instead of store.path. "": in memory only.')
def serve(path: Path | None, listen: str | None, metrics: str | None, store: str | None) -> None:
    """Run a broker until SIGTERM or Ctrl-C.

    Prints one line of JSON when ready: {"ready": true, "grpc": "HOST:PORT", "metrics": "HOST:PORT"}. Logs to stderr.
    Told to stop, it refuses new requests and gives those under way their time (server.grace).

    \b
    broker serve --config broker.toml
    broker serve --listen 0.0.0.0:50051 --store /var/lib/broker/cache

    Exit code 2: the configuration is wrong or the store cannot be used; the message says what to do.
    """  # noqa: D301 - click reads the backspaces
    # Once, before any gRPC object is made: reconfigured logging can deadlock with grpc.aio (grpc/grpc#43421).
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series per counter, which nobody reads
    try:
        config = _read(path)
        server = _override(config.server, listen=listen, metrics=metrics)
        config = replace(config, server=server, store=_override(config.store, path=store))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except (ConfigError, StoreError) as error:
        fail(str(error), Exit.USAGE)


@click.command()
@click.option("--check", "path", type=_path, help="Say whether this file is a valid configuration.")
def config(path: Path | None) -> None:
    """Print the default configuration, with every key explained; or check a file.

    \b
    broker config > broker.toml
    broker config --check broker.toml
    """  # noqa: D301 - click reads the backspaces
    if path is None:
        click.echo(DEFAULT.read_text(encoding="utf-8"), nl=False)
        return
    try:
        count = len(_read(path).institutions)
    except ConfigError as error:
        fail(str(error), Exit.USAGE)
    click.echo(f"{path}: valid, {count} institutions")


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve_until(config, stop=stop, ready=_tell)


def _tell(addresses: Addresses) -> None:
    click.echo(json.dumps({"ready": True, "grpc": addresses.grpc, "metrics": addresses.metrics}))
    sys.stdout.flush()


def _read(path: Path | None) -> Config:
    return load(path, dialects=frozenset(DIALECTS))


def _override(section: S, **values: str | None) -> S:
    """A section of the configuration with what the command line says instead. Raises `ConfigError`."""
    try:
        return replace(section, **{key: value for key, value in values.items() if value is not None})
    except ValueError as error:
        msg = f"command line: {error}"
        raise ConfigError(msg) from None
