"""What a benchmark prints: a progress bar on stderr, a table, and one line of JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

_FILE_WIDTH = 160  # columns of a table that is written to a file or a pipe
_PACKAGES = ("grpcio", "protobuf", "lmdb", "trio", "aiohttp", "h11", "uvloop")


def progress() -> Progress:
    """A progress bar on stderr, which leaves stdout to the results."""
    return Progress(console=Console(stderr=True), transient=True)


def print_result(title: str, rows: Mapping[str, str], result: Mapping[str, object]) -> None:
    """Prints a table of name and value, then, as the last line, the result as JSON."""
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
    print_json(result)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table with a heading for each column; all but the first column are aligned to the right."""
    table = Table(title=title)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=_FILE_WIDTH)).print(table)


def print_json(result: Mapping[str, object]) -> None:
    """Prints a result as one line of JSON, with the machine and the versions it was measured on."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps(dict(result) | {"machine": machine, "versions": {name: version(name) for name in _PACKAGES}}))
