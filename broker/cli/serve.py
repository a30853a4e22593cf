"""`broker serve` and `broker config`: the commands for operators."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from broker.access_section import AccessConfig
from broker.cli.exits import Exit, fail, without_traceback
from broker.config import DEFAULT, Config, Overrides, StoreConfig, draft, load
from broker.core.planning.ownership import Ownership
from broker.errors import AuditError, ConfigError, StoreError
from broker.institutions.dialects import DIALECTS
from broker.runtime.access_files import keep_accepted
from broker.runtime.key_source import key_exists, load_key_ring
from broker.runtime.listen_port import reserve
from broker.runtime.logs import log_to_stderr
from broker.runtime.port_holder import SUPERVISOR_OPTION
from broker.runtime.reload import check_reload
from broker.runtime.restart_policy import NextStart
from broker.runtime.socket_folder import socket_folder
from broker.runtime.start_check import check_start
from broker.runtime.supervised_slot import WorkerFailedError
from broker.runtime.supervisor import supervise
from broker.runtime.watchdog import Limits
from broker.runtime.worker import WorkerSlot
from broker.runtime.worker_main import open_link, run_worker
from broker.runtime.worker_messages import Ready
from broker.runtime.worker_pool import WorkerPool
from broker.runtime.worker_process import WorkerProcess, start_worker
from broker.store.broker_lock import broker_lock
from broker.store.key_mark import is_marked, refuse_other_keys, take_up

log = logging.getLogger(__name__)

_DIALECTS = frozenset(DIALECTS)
_path = click.Path(path_type=Path, dir_okay=False)
_ELSEWHERE = {"store": ("store", "path"), "policy": ("access", "policy"), "registry": ("access", "registry")}
"""Options whose keys are not in [server], or not of the same name."""


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
    SIGHUP: the configuration is read again, and the workers are replaced one by one. What cannot be changed without a
    restart (listen, metrics, workers, store, folder of quotas, audit log) is refused by name in the log, and the old
    configuration goes on.

    \b
    broker serve --config broker.toml
    broker serve --config broker.toml --listen 0.0.0.0:50051 --store /var/lib/broker/cache

    Certificates are read again when their files change, within two seconds; SIGHUP is not needed for that. Without TLS
    (section [tls] of the configuration) the broker listens on loopback only, unless tls.insecure says otherwise.

    Exit code 2: the configuration is invalid, or the store cannot be used. 6: the audit log cannot be written. The
    message says what to do.
    """  # noqa: D301 - click reads the backspaces
    log_to_stderr()
    try:
        config, workers = _check(path, overrides)
        with _store_of(config.store):
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
@click.option("--policy")
@click.option("--registry")
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
        run_worker(load(path, dialects=_DIALECTS, overrides=_sections(overrides)), place, link, after_crash=after_crash)
    except (ConfigError, StoreError) as error:
        fail(str(error), Exit.USAGE)
    except AuditError as error:
        fail(str(error), Exit.UNRECORDED)


@click.command()
@click.option("--check", "path", type=_path, help="Check this configuration file.")
@without_traceback()
def config(path: Path | None) -> None:
    """Print the default configuration, which documents every key; or check a file.

    The check is that of `broker serve`: of the file, and of what it names, such as addresses, the key file, the folder
    of the cache and certificates. It reports everything that is wrong. It starts, makes and changes nothing. Relative
    paths are taken from the present working directory, as by `broker serve`.

    \b
    broker config > broker.toml
    broker config --check broker.toml
    """  # noqa: D301 - click reads the backspaces
    if path is None:
        click.echo(DEFAULT.read_text(encoding="utf-8"), nl=False)
        return
    try:
        checked, workers = _check(path, {})
    except ConfigError as error:
        fail(str(error), Exit.USAGE)
    click.echo(f"{path}: valid, {len(checked.institutions)} institutions, {workers} workers on this host")


def _run_pool(config: Config, workers: int, path: Path | None, overrides: Mapping[str, str | int | None]) -> None:
    if not config.tls.is_on:
        log.warning("plain text: anybody who can reach %s can ask under any name; see [tls]", config.server.listen)
    reservation, address = reserve(config.server.listen)
    own = {**overrides, "config": str(path) if path else None, "listen": address, "workers": None}
    arguments = [part for name, value in own.items() if value is not None for part in (f"--{name}", str(value))]

    ring = load_key_ring(config.store.key_file)
    access = keep_accepted(config.access)

    def may_reload() -> bool:
        nonlocal ring, access
        try:
            new, _ = _check(path, overrides)
            new_ring = load_key_ring(new.store.key_file)
            check_reload(config, new, workers=workers, rings=(ring, new_ring))
            access = keep_accepted(new.access)
            ring = new_ring
            pool.set_limits(Limits(draining=new.server.drain_period))
        except (ConfigError, StoreError) as error:
            log.error("not reloaded, the old configuration goes on: %s", str(error).replace("\n", "; "))
            return False
        return True

    with reservation, socket_folder() as folder:
        shared = [
            SUPERVISOR_OPTION,
            str(os.getpid()),
            "--of",
            str(workers),
            *(["--folder", str(folder)] if workers > 1 else []),
            *arguments,
        ]

        async def launch(slot: int, start: NextStart) -> WorkerProcess:
            how = ["--after-crash"] if start.after_crash else []
            return await start_worker(["--slot", str(slot), *how, *_accepted(access), *shared])

        pool = WorkerPool(workers, launch=launch, limits=Limits(draining=config.server.drain_period))
        supervise(pool, on_ready=_print_ready, may_reload=may_reload)


def _accepted(access: AccessConfig) -> Sequence[str]:
    """The options that name what was accepted."""
    given = {"--policy": access.policy, "--registry": access.registry}
    return [part for option, path in given.items() if path for part in (option, path)]


def _print_ready(workers: Sequence[Ready]) -> None:
    listed = [{"pid": each.pid, "grpc": each.grpc, "metrics": each.metrics} for each in workers]
    first = workers[0]
    click.echo(json.dumps({"ready": True, "grpc": first.grpc, "metrics": first.metrics, "workers": listed}))
    sys.stdout.flush()


def _check(path: Path | None, overrides: Mapping[str, str | int | None]) -> tuple[Config, int]:
    """The configuration with what the command line says instead, and the number of workers. Raises `ConfigError`."""
    return check_start(draft(path, dialects=_DIALECTS, overrides=_sections(overrides)), os.cpu_count() or 1)


def _sections(options: Mapping[str, str | int | None]) -> Overrides:
    """What options of the command line say, by section and key."""
    sections: dict[str, dict[str, object]] = {"server": {}, "store": {}, "access": {}}
    for name, value in options.items():
        if value is not None:
            section, key = _ELSEWHERE.get(name, ("server", name))
            sections[section][key] = value
    return sections


@contextmanager
def _store_of(config: StoreConfig) -> Iterator[None]:
    """Keeps the store for this broker alone. Raises `StoreError`."""
    if not config.path:
        yield
        return
    path = Path(config.path)
    with broker_lock(path):
        if is_marked(path) and not key_exists(config.key_file):  # a new one would be made
            refuse_other_keys(path, ())
        keys = load_key_ring(config.key_file).secrets
        if not take_up(path, keys):
            refuse_other_keys(path, keys)
        yield
