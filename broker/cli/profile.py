"""Options that rarely change, from a file: `--profile court.toml`, or BROKER_PROFILE.

    broker = "broker.court.example:50051"
    court = "京0101"
    officer = "王法官"
    document = "协助查询通知书1号"

Options on the command line and environment variables come first.
"""

from pathlib import Path
from typing import Any

import click
import msgspec


class _Profile(msgspec.Struct, forbid_unknown_fields=True):
    broker: str | None = None
    court: str | None = None
    officer: str | None = None
    case: str | None = None
    document: str | None = None


def _load(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        try:
            found = msgspec.toml.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=_Profile)
        except (msgspec.DecodeError, UnicodeError, OSError) as error:
            raise click.BadParameter(f"{path}: {error}") from None
        given: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(found).items() if value}
        if "broker" in given:
            given["address"] = given.pop("broker")
        context.default_map = {**(context.default_map or {}), **given}
    return path


profile_option = click.option(
    "--profile",
    type=click.Path(path_type=Path),
    envvar="BROKER_PROFILE",
    show_envvar=True,
    is_eager=True,
    expose_value=False,
    callback=_load,
    help="TOML file with values for --broker, --court, --officer, --case and --document.",
)
