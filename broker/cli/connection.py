"""Options that say how to reach the broker: its address, and certificates.

`make serve` writes a profile and certificates to var/serve. Whoever names no broker uses these, so that a first call
needs no options; but only if the files are their own, since others could send the lookups elsewhere with them.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from broker.cli.profile import read_profile
from broker.client import Credentials

F = TypeVar("F", bound=Callable[..., Any])

LOCAL_PROFILE = Path("var/serve/profile.toml")
"""That of `make serve`, in the working directory."""
_DEFAULT_ADDRESS = "127.0.0.1:50051"
_FILES = ("ca", "certificate", "key")

_file = click.Path(dir_okay=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the broker is, and the certificates to reach it; None: over plain text."""

    address: str
    credentials: Credentials | None


_OPTIONS = (
    click.option(
        "--broker",
        "address",
        default=_DEFAULT_ADDRESS,
        envvar="BROKER_ADDRESS",
        show_envvar=True,
        metavar="HOST:PORT",
        help=f"Address of the broker. Default: that of `make serve`, if it runs here, else {_DEFAULT_ADDRESS}.",
    ),
    click.option("--ca", type=_file, envvar="BROKER_CA", show_envvar=True, help="Authority of the broker (PEM)."),
    click.option(
        "--certificate", type=_file, envvar="BROKER_CERTIFICATE", show_envvar=True, help="Certificate to show (PEM)."
    ),
    click.option("--key", type=_file, envvar="BROKER_KEY", show_envvar=True, help="Its private key (PEM)."),
)


def connection_options(command: F) -> F:
    """Gives a command the options, and their meaning as its argument `connection`."""

    @wraps(command)
    def with_connection(address: str, **given: Any) -> Any:
        files = {name: given.pop(name) for name in _FILES}
        context = click.get_current_context()
        source = context.get_parameter_source("address")
        if source is ParameterSource.DEFAULT and not any(files.values()) and _is_own(LOCAL_PROFILE):
            profile = read_profile(LOCAL_PROFILE)
            address, files = profile.pop("address", address), {name: profile.get(name) for name in _FILES}
        return command(connection=Connection(address, _credentials(files)), **given)

    decorated: Any = with_connection
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _credentials(files: dict[str, Any]) -> Credentials | None:
    if not any(files.values()):
        return None
    try:
        credentials = Credentials(**files)
        credentials.channel_credentials()
    except ValueError as error:
        raise click.UsageError(f"--ca, --certificate, --key: {error}") from None
    return credentials


def _is_own(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
