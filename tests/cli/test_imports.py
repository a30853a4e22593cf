"""A command imports what it needs: all of them together take a second of CPU time."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from broker.cli import main
main(["investigate", "--help"], standalone_mode=False)
print(sorted({"trio", "numpy", "aiohttp", "lmdb", "cryptography", "uvloop"}.intersection(sys.modules)))
"""


def test_investigate_needs_nothing_of_the_server() -> None:
    command = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "name", ["serve", "worker", "config", "investigate", "institutions", "health", "demo", "policy"]
)
def test_every_command_can_be_found(name: str) -> None:
    command = [sys.executable, "-m", "broker", name, "--help"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.startswith("Usage")  # noqa: S603
