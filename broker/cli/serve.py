"""`broker serve` and `broker config`: for whoever runs a broker."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import prometheus_client
import uvloop
from msgspec import Struct
from msgspec.structs import replace

from broker.cli.exits import Exit, fail
from broker.config import DEFAULT, Config, load
from broker.core.planning.ownership import Ownership
from broker.errors import ConfigError, StoreError
from broker.institutions.dialects import DIALECTS
from broker.runtime.app import serve as serve_until
from broker.runtime.logs import log_to_stderr
from broker.runtime.supervisor import WorkerFailedError, WorkerPool, reserve, supervise
from broker.runtime.worker import ONLY_SLOT, Addresses, WorkerSlot

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Struct)

_SWITCH = 0.001  # s the store's writer may keep the loop waiting; Python's default of 5 ms is five steps of bulk work

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--config", "path", type=_path, help="TOML file; `broker config` shows all keys. The defaults without.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where courts call, instead of server.listen. Port 0: any free one."
)
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus reads, instead of server.metrics.")
@click.option("--workers", type=int, help="How many processes serve, instead of server.workers. 0: one per core.")
@click.option("--store", metavar="FOLDER", help='Where answers are kept, instead of store.path. "": in memory only.')
def serve(path: Path | None, **overrides: str | int | None) -> None:
    """Run a broker until SIGTERM or Ctrl-C.

    Prints one line of JSON when ready: {"ready": true, "grpc": "HOST:PORT", "metrics": "HOST:PORT", "workers":
    [{"pid": 1, "grpc": "HOST:PORT", "metrics": "HOST:PORT"}, ...]}; each worker has metrics of its own. Logs to stderr.
    Told to stop, it refuses new requests and gives those under way their time (server.grace). On SIGHUP several workers
    are replaced one by one by such that read the configuration anew.

    \b
    broker serve --config broker.toml
    broker serve --listen 0.0.0.0:50051 --store /var/lib/broker/cache

    Exit code 2: the configuration is wrong or the store cannot be used; the message says what to do.
    """  # noqa: D301 - click reads the backspaces
    log_to_stderr()
    try:
        config = _configure(path, overrides)
        workers = config.workers(os.cpu_count() or 1)
        if workers == 1:
            _run_worker(config, ONLY_SLOT)
        else:
            _run_pool(config, workers, path, overrides)
    except (ConfigError, StoreError) as error:
        fail(str(error), Exit.USAGE)
    except WorkerFailedError as error:
        fail(str(error), Exit(error.code) if error.code in set(Exit) else Exit.UNREACHABLE)


@click.command(hidden=True)
@click.option("--slot", type=int, required=True)
@click.option("--of", "workers", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--config", "path", type=_path)
@click.option("--listen")
@click.option("--metrics")
@click.option("--store")
def worker(slot: int, workers: int, folder: Path, path: Path | None, **overrides: str | int | None) -> None:
    """Run one worker of a broker, until SIGTERM, or standard input closes. For `broker serve`."""
    log_to_stderr()
    try:
        _run_worker(_configure(path, overrides), WorkerSlot(Ownership(slot, workers), folder))
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


def _run_worker(config: Config, slot: WorkerSlot) -> None:
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series per counter, which nobody reads
    sys.setswitchinterval(_SWITCH)
    _be_left_at_work()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(config, slot))


def _be_left_at_work() -> None:
    """Asks the kernel not to put whoever is at work off the core each time a thread of this process wakes.

    Threads and loops wake each other thousands of times in a second, always for work that can wait for a millisecond.
    Left to itself the kernel switched twice as often, and caches were cold again each time (docs/performance.md).
    """
    with contextlib.suppress(OSError, AttributeError):  # forbidden, or not Linux: nothing but speed depends on it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _work(config: Config, slot: WorkerSlot) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if slot.folder is not None:  # the supervisor holds the other end, and tells by letting go that it has gone
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        loop.add_reader(sys.stdin.fileno(), _orphaned, stop)
    await serve_until(config, stop=stop, ready=_tell, slot=slot)


def _orphaned(stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())  # it would be called again and again
    stop.set()


def _run_pool(config: Config, workers: int, path: Path | None, overrides: Mapping[str, str | int | None]) -> None:
    reservation, address = reserve(config.server.listen)
    own = {**overrides, "config": str(path) if path else None, "listen": address, "workers": None}
    arguments = [part for name, value in own.items() if value is not None for part in (f"--{name}", str(value))]
    with reservation, tempfile.TemporaryDirectory(prefix="broker-") as folder:

        def command(slot: int) -> list[str]:
            place = ["--slot", str(slot), "--of", str(workers), "--folder", folder]
            return [sys.executable, "-m", "broker", "worker", *place, *arguments]

        def may_reload() -> bool:
            try:
                _configure(path, {**overrides, "workers": workers}).workers(workers)
            except ConfigError as error:
                log.error("the configuration is not read again: %s", error)
                return False
            return True

        pool = WorkerPool(size=workers, command=command, grace=config.server.grace)
        supervise(pool, ready=_tell_all, may_reload=may_reload)


def _tell(addresses: Addresses) -> None:
    _say([{"pid": os.getpid(), "grpc": addresses.grpc, "metrics": addresses.metrics}])


def _tell_all(said: Sequence[Mapping[str, Any]]) -> None:
    _say([worker for each in said for worker in each["workers"]])


def _say(workers: Sequence[Mapping[str, Any]]) -> None:
    first = workers[0]
    click.echo(json.dumps({"ready": True, "grpc": first["grpc"], "metrics": first["metrics"], "workers": workers}))
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
