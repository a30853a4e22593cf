"""The command line: serve the institutions, print lookups of the population, print correct answers."""

import asyncio
import csv
import gc
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import click
import msgspec
import uvloop

from mock_institutions import config as configuration
from mock_institutions.config import Config, ConfigError
from mock_institutions.hostile import hostile_institution
from mock_institutions.logs import log_to_stderr
from mock_institutions.population import Lookup, Mix, Population
from mock_institutions.records import SUBJECT_TYPES, SubjectType
from mock_institutions.server import running
from mock_institutions.tls import CertificateError

_config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file. Default: five institutions on ports 7101 to 7105.",
)
_seed_option = click.option("--seed", type=int, help="Seed of the population; overrides the configuration.")


@click.group()
def main() -> None:
    """Mock institutions over HTTP, with a synthetic population and configurable faults."""


@main.command()
@_config_option
@_seed_option
@click.option("--port-base", type=click.IntRange(0, 65535), help="First port; 0: any free ports.")
@click.option("--banks", type=click.IntRange(0, 999), default=0, help="Number of additional banks: mock-bank-001, ...")
@click.option(
    "--national",
    type=click.IntRange(0, 9999),
    default=0,
    help="Number of national institutions to serve instead, on one port: /mock-bank-0001, /mock-vehicle-0002, ...",
)
@click.option(
    "--tls",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Serve over mutual TLS, with the certificates that `broker certs` has made in this folder.",
)
def serve(
    *, path: Path | None, seed: int | None, port_base: int | None, banks: int, national: int, tls: Path | None
) -> None:
    """Serve until SIGTERM or SIGINT. Print one line of JSON when ready."""
    log_to_stderr()
    with _reported():
        config = _load(path, seed).with_banks(banks).with_national(national)
        config = config if port_base is None else config.with_ports_from(port_base)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, tls))
    except CertificateError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error}") from error


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(config: Config, tls: Path | None) -> None:
    stop = _stop_signal()
    async with running(config, tls) as urls:
        # Objects that exist now live as long as the process, and hardly any later ones are part of reference cycles.
        # Collecting garbage at the usual rate would cost a few per cent of the time.
        gc.freeze()
        gc.set_threshold(100_000)
        click.echo(json.dumps({"ready": True, "institutions": urls}))
        sys.stdout.flush()
        await stop.wait()


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0, the default: any free port.")
def hostile(*, port: int) -> None:
    """Serve replies that are meant to harm their reader, until SIGTERM or SIGINT. Print one line of JSON when ready.

    The path of a call selects the kind of reply: /one-byte-chunks/v1/inquiries. They are listed in
    mock_institutions/hostile.py.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_hostile(port))


async def _serve_hostile(port: int) -> None:
    stop = _stop_signal()
    async with hostile_institution(port) as url:
        click.echo(json.dumps({"ready": True, "url": url}))
        sys.stdout.flush()
        await stop.wait()


@main.command()
@_config_option
@_seed_option
@click.option("--count", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--rng-seed", type=int, default=1, show_default=True, help="Seed of the random selection.")
@click.option("--mix", type=click.Choice(get_args(Mix)), default="all", show_default=True)
@click.option("--format", "form", type=click.Choice(("csv", "jsonl")), default="csv", show_default=True)
def population(path: Path | None, seed: int | None, count: int, rng_seed: int, mix: Mix, form: str) -> None:
    """Print lookups of people, organisations and things that exist in the population."""
    config = _load(path, seed)
    institutions = [each.institution for each in config.institutions]
    lookups = Population(config.seed).sample(count, rng_seed, mix, institutions)
    (_print_csv if form == "csv" else _print_lines)(lookups)


def _print_csv(lookups: Iterator[Lookup]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Lookup._fields)
    writer.writerows(lookups)


def _print_lines(lookups: Iterator[Lookup]) -> None:
    for lookup in lookups:
        click.echo(json.dumps(lookup._asdict(), ensure_ascii=False))


@main.command()
@_config_option
@_seed_option
@click.option("--institution", required=True, help="Id of the institution.")
@click.option("--banks", type=click.IntRange(0, 999), default=0, help="The same as for `serve`.")
@click.option("--national", type=click.IntRange(0, 9999), default=0, help="The same as for `serve`.")
@click.option("--type", "subject_type", type=click.Choice(SUBJECT_TYPES), required=True)
@click.option("--number", required=True)
@click.option("--name", default="", help="Name of the person or organisation; omit it for a thing.")
def answer(  # noqa: PLR0913 - one per option
    *,
    path: Path | None,
    seed: int | None,
    institution: str,
    banks: int,
    national: int,
    subject_type: SubjectType,
    number: str,
    name: str,
) -> None:
    """Print the correct answer of an institution, as JSON."""
    config = _load(path, seed).with_banks(banks).with_national(national)
    try:
        asked = config.find(institution).institution
    except KeyError:
        known = ", ".join(each.id for each in config.institutions)
        message = f"there is no such institution; choose one of {known}"
        raise click.BadParameter(message, param_hint="--institution") from None
    expected = Population(config.seed).answer(asked, subject_type, number, name)
    click.echo(msgspec.json.encode(expected).decode())


def _load(path: Path | None, seed: int | None) -> Config:
    with _reported():
        config = configuration.load(path)
    return config if seed is None else msgspec.structs.replace(config, seed=seed)


@contextmanager
def _reported() -> Iterator[None]:
    """Print an invalid configuration as one line, and exit with code 2."""
    try:
        yield
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
