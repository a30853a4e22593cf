"""The command line: one module per command or group of commands."""

import sys

import click

from broker.runtime.held_signals import hold_reloads
from broker.runtime.logs import silence_grpc_core

silence_grpc_core()  # before any of these imports it
if sys.argv[1:2] == ["serve"]:
    hold_reloads()

from broker.cli.demo import demo  # noqa: E402
from broker.cli.explore import health, institutions  # noqa: E402
from broker.cli.investigate import investigate  # noqa: E402
from broker.cli.serve import config, serve, worker  # noqa: E402


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="property-investigation-broker")
def main() -> None:
    """Find out what debtors own: ask banks, vehicle, securities and land registries through one broker.

    \b
    See it work:       broker demo
    Run a broker:      broker serve --config broker.toml
    Send lookups:      broker investigate --help
    """  # noqa: D301 - click reads the backspaces


for _command in (serve, worker, config, investigate, institutions, health, demo):
    main.add_command(_command)
