"""`broker keys`: the file with the keys of the cache, changed a step at a time."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import click

from broker.cli.exits import Exit, fail
from broker.private_file import PrivateFileError, read_private, replace_private
from broker.runtime.key_ring import KEY_SIZE, KeyRing, KeyRingError, NamedKey

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def keys() -> None:
    """Replace a key of the cache while the broker serves.

    FILE is the one that store.key_file names. Its first key seals what is written; all of them open what is read. So a
    key is replaced in four steps, and after each of the first three the broker is told to read the file (SIGHUP):

    \b
    broker keys add var/broker.key --name 2026-11      the workers get to know the new key
    broker keys seal-with var/broker.key 2026-11       from now on, it seals
    (wait: as long as the longest found_ttl, until all that the old key has sealed is expired)
    broker keys remove var/broker.key 2025-11

    The metric broker_store_older_key_reads_total tells how often an older key is still needed. A broker whose keys come
    from a command reads what the key management service gives, in the same format and order.
    """  # noqa: D301 - click reads the backspaces


@keys.command("list")
@_file
def list_keys(file: Path) -> None:
    """List the names of the keys, without the keys."""
    for place, name in enumerate(_read(file).names):
        click.echo(f"{name}  {'opens' if place else 'seals and opens'}")


@keys.command("add")
@_file
@click.option("--name", help="Name of the key; today's date without it.")
def add_key(file: Path, name: str | None) -> None:
    """Add a new key, which opens and does not seal yet."""
    key = NamedKey(name or time.strftime("%Y-%m-%d"), secrets.token_bytes(KEY_SIZE))
    _change(file, lambda ring: ring.with_added(key))


@keys.command("seal-with")
@_file
@click.argument("name")
def seal_with(file: Path, name: str) -> None:
    """Have the key NAME seal what is written from now on."""
    _change(file, lambda ring: ring.with_sealing(name))


@keys.command("remove")
@_file
@click.argument("name")
def remove_key(file: Path, name: str) -> None:
    """Remove the key NAME, which no longer seals. What it has sealed cannot be read any more."""
    _change(file, lambda ring: ring.without(name))


def _read(file: Path) -> KeyRing:
    try:
        return KeyRing.parse(read_private(file).decode("ascii", "replace"))
    except (PrivateFileError, KeyRingError) as error:
        fail(f"{file}: {error}", Exit.USAGE)


def _change(file: Path, change: Callable[[KeyRing], KeyRing]) -> None:
    ring = _read(file)
    try:
        changed = change(ring)
        replace_private(file, changed.text().encode())
    except (PrivateFileError, KeyRingError) as error:
        fail(f"{file}: {error}", Exit.USAGE)
    click.echo(f"{changed.names[0]} seals, {', '.join(changed.names)} open; tell the broker to read it: kill -HUP PID")
