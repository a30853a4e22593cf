"""`broker serve` and `broker config`: the commands for operators."""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click
from msgspec import Struct
from msgspec.structs import replace

from broker.cli.exits import Exit, fail
from broker.config import DEFAULT, Config, load
from broker.core.planning.ownership import Ownership
from broker.errors import ConfigError, StoreError
from broker.institutions.dialects import DIALECTS
from broker.runtime.listen_port import reserve
from broker.runtime.logs import log_to_stderr
from broker.runtime.port_holder import SUPERVISOR_OPTION
from broker.runtime.restart_policy import NextStart
from broker.runtime.supervised_slot import WorkerFailedError
from broker.runtime.supervisor import supervise
from broker.runtime.watchdog import Limits
from broker.runtime.worker import WorkerSlot
from broker.runtime.worker_main import open_link, run_worker
from broker.runtime.worker_messages import Ready
from broker.runtime.worker_pool import WorkerPool
from broker.runtime.worker_process import WorkerProcess, start_worker

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Struct)

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--config", "path", type=_path, help="Configuration file (TOML); `broker config` prints the default one.")
@click.option("--listen", metavar="HOST:PORT", help="gRPC address; overrides server.listen. Port 0: any free port.")
@click.option("--metrics", metavar="HOST:PORT", help="Address of the metrics; overrides server.metrics.")
@click.option("--workers", type=int, help="Number of worker processes; overrides server.workers. 0: one per core.")
@click.option("--store", metavar="FOLDER", help='Folder of the cache; overrides store.path. "": in memory.')
def serve(path: Path | None, **overrides: str | int | None) -> None:
    """Run a broker until SIGTERM or Ctrl-C.

    The process you start is a supervisor. It starts the workers, which serve; replaces a worker that ends by itself;
    and kills and replaces one that shows no sign of life for five seconds. Its log, on stderr, says so.

    When all workers are ready it prints one line of JSON: {"ready": true, "grpc": "HOST:PORT", "metrics": "HOST:PORT",
    "workers": [{"pid": 1, "grpc": "HOST:PORT", "metrics": "HOST:PORT"}, ...]}. Each worker has its own metrics.

    SIGTERM, Ctrl-C: the workers take no new connections, but serve those there are until callers have left them, after
    server.max_connection_age at most; finish the requests in flight within server.grace_period seconds; and end.
    SIGHUP: the configuration is read again, and the workers are replaced one by one.

    \b
    broker serve --config broker.toml
    broker serve --listen 0.0.0.0:50051 --store /var/lib/broker/cache

    Exit code 2: the configuration is invalid, or the store cannot be used. The message says what to do.
    """  # noqa: D301 - click reads the backspaces
    log_to_stderr()
    try:
        config = _configure(path, overrides)
        workers = config.workers(os.cpu_count() or 1)
        _run_pool(config, workers, path, overrides)
    except (ConfigError, StoreError) as error:
        fail(str(error), Exit.USAGE)
    except WorkerFailedError as error:
        fail(str(error), Exit(error.code) if error.code in set(Exit) else Exit.UNAVAILABLE)


@click.command(hidden=True)
@click.option("--slot", type=int, required=True)
@click.option("--of", "workers", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path))
@click.option(SUPERVISOR_OPTION, "_supervisor", type=int, expose_value=False)  # for whoever reads /proc (port_holder)
@click.option("--after-crash", is_flag=True)
@click.option("--config", "path", type=_path)
@click.option("--listen")
@click.option("--metrics")
@click.option("--store")
def worker(
    *,
    slot: int,
    workers: int,
    folder: Path | None,
    after_crash: bool,
    path: Path | None,
    **overrides: str | int | None,
) -> None:
    """Run one worker of a broker until SIGTERM, or until standard input is closed. Used by `broker serve`."""
    link = open_link()
    log_to_stderr()
    try:
        place = WorkerSlot(Ownership(slot, workers), folder, port_is_reserved=True)
        run_worker(_configure(path, overrides), place, link, after_crash=after_crash)
    except (ConfigError, StoreError) as error:
        fail(str(error), Exit.USAGE)


@click.command()
@click.option("--check", "path", type=_path, help="Validate this configuration file.")
def config(path: Path | None) -> None:
    """Print the default configuration, which documents every key; or validate a file.

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


def _run_pool(config: Config, workers: int, path: Path | None, overrides: Mapping[str, str | int | None]) -> None:
    reservation, address = reserve(config.server.listen)
    own = {**overrides, "config": str(path) if path else None, "listen": address, "workers": None}
    arguments = [part for name, value in own.items() if value is not None for part in (f"--{name}", str(value))]

    def may_reload() -> bool:
        try:
            _configure(path, {**overrides, "workers": workers}).workers(workers)
        except ConfigError as error:
            log.error("the configuration is not read again: %s", error)
            return False
        return True

    with reservation, tempfile.TemporaryDirectory(prefix="broker-") as folder:
        shared = [
            SUPERVISOR_OPTION,
            str(os.getpid()),
            "--of",
            str(workers),
            *(["--folder", folder] if workers > 1 else []),
            *arguments,
        ]

        async def launch(slot: int, start: NextStart) -> WorkerProcess:
            return await start_worker(["--slot", str(slot), *(["--after-crash"] if start.after_crash else []), *shared])

        pool = WorkerPool(workers, launch=launch, limits=Limits(draining=config.server.drain_period))
        supervise(pool, on_ready=_print_ready, may_reload=may_reload)


def _print_ready(workers: Sequence[Ready]) -> None:
    listed = [{"pid": each.pid, "grpc": each.grpc, "metrics": each.metrics} for each in workers]
    first = workers[0]
    click.echo(json.dumps({"ready": True, "grpc": first.grpc, "metrics": first.metrics, "workers": listed}))
    sys.stdout.flush()


def _configure(path: Path | None, overrides: Mapping[str, str | int | None]) -> Config:
    """The configuration, with what the command line says instead. Raises `ConfigError`."""
    config = _read(path)
    server = {name: value for name, value in overrides.items() if name != "store"}
    return replace(
        config, server=_override(config.server, server), store=_override(config.store, {"path": overrides.get("store")})
    )


def _read(path: Path | None) -> Config:
    return load(path, dialects=frozenset(DIALECTS))


def _override(section: S, values: Mapping[str, str | int | None]) -> S:
    """A section of the configuration with what the command line says instead. Raises `ConfigError`."""
    try:
        return replace(section, **{key: value for key, value in values.items() if value is not None})
    except ValueError as error:
        msg = f"command line: {error}"
        raise ConfigError(msg) from None
