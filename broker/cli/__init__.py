"""The command line: `broker serve` for operators, `broker investigate` for courts. `broker COMMAND --help` teaches."""

import click

from broker.cli.demo import demo
from broker.cli.explore import health, institutions
from broker.cli.investigate import investigate
from broker.cli.serve import config, serve, worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="property-investigation-broker")
def main() -> None:
    """Finds what a debtor owns: courts ask once, every institution answers.

    \b
    See it work:       broker demo
    Run a broker:      broker serve --config broker.toml
    Ask it:            broker investigate --help
    """  # noqa: D301 - click reads the backspaces


for _command in (serve, worker, config, investigate, institutions, health, demo):
    main.add_command(_command)
