"""The command line: one module per command or group of commands."""

import io
import sys
from importlib import import_module

import click

from broker.runtime.held_signals import hold_reloads
from broker.runtime.logs import silence_grpc_core
from broker.undumpable import forbid_dumps

silence_grpc_core()  # before any command imports it
if sys.argv[1:2] == ["serve"]:
    hold_reloads()

_MODULES = {
    "serve": "serve",
    "worker": "serve",
    "config": "serve",
    "investigate": "investigate",
    "institutions": "explore",
    "health": "explore",
    "keys": "keys",
    "audit": "audit",
    "demo": "demo",
    "certs": "certs",
    "policy": "policy",
}
"""Where each command is. A module is imported when its command is used: all of them together take a second."""


class _Commands(click.Group):
    """The commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Their names, in the order of `--help`."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Imports a command."""
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"broker.cli.{_MODULES[cmd_name]}"), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="property-investigation-broker")
def main() -> None:
    """Find out what debtors own: ask banks, vehicle, securities and land registries through one broker.

    \b
    See it work:       broker demo
    Run a broker:      broker serve --config broker.toml
    Send lookups:      broker investigate --help
    """  # noqa: D301 - click reads the backspaces
    forbid_dumps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # if its encoding lacks a character, it shows the code point instead
            stream.reconfigure(errors="backslashreplace")
