"""Options that rarely change, from a file: `--profile court.toml`, or BROKER_PROFILE.

    broker = "broker.court.example:50051"
    court = "京0101"
    officer = "王法官"
    document = "协助查询通知书1号"
    ca = "ca.pem"
    certificate = "court.pem"
    key = "court-key.pem"
    sign_key = "officer.key"

Files are relative to the profile's folder. Options on the command line and environment variables come first.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])

_FILES = frozenset({"ca", "certificate", "key", "sign_key"})


class _Profile(msgspec.Struct, forbid_unknown_fields=True):
    broker: str | None = None
    court: str | None = None
    officer: str | None = None
    case: str | None = None
    document: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    sign_key: str | None = None


def read_profile(path: Path) -> dict[str, str]:
    """The values of options, by their parameters' names. Raises `click.BadParameter`."""
    try:
        found = msgspec.toml.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=_Profile)
    except (msgspec.DecodeError, UnicodeError, OSError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
    given: dict[str, str] = {name: value for name, value in msgspec.structs.asdict(found).items() if value}
    if "broker" in given:
        given["address"] = given.pop("broker")
    return {name: str(path.parent / value) if name in _FILES else value for name, value in given.items()}


def _load(context: click.Context, _: click.Parameter, path: Path | None, *, names: frozenset[str]) -> Path | None:
    if path is not None:
        given = {name: value for name, value in read_profile(path).items() if name in names}
        context.default_map = {**(context.default_map or {}), **given}
    return path


def _option(names: frozenset[str], text: str) -> Callable[[F], F]:
    return click.option(
        "--profile",
        type=click.Path(path_type=Path),
        envvar="BROKER_PROFILE",
        show_envvar=True,
        is_eager=True,
        expose_value=False,
        callback=partial(_load, names=names),
        help=f"TOML file with values for {text}.",
    )


_CONNECTION = frozenset({"ca", "certificate", "key", "address"})
profile_option = _option(
    _CONNECTION | {"court", "officer", "case", "document", "sign_key"},
    "--court, --officer, --case, --document, --sign-key, --broker, --ca, --certificate and --key",
)
connection_profile_option = _option(_CONNECTION, "--broker, --ca, --certificate and --key")
"""What the profile says of the request is left out."""
