"""`broker serve` lives through a SIGHUP from its first import on; other commands end with their terminal."""

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys
sys.argv = ["broker", *sys.argv[1:]]
import broker.cli
print(signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.parametrize(("command", "waits"), [("serve", "True"), ("health", "False")])
def test_a_reload_waits_while_the_broker_is_imported(command: str, waits: str) -> None:
    arguments = [sys.executable, "-c", PROGRAM, command]
    assert subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip() == waits  # noqa: S603
