"""Somebody else's server as a child process: at a free port of loopback, ready when it takes connections."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What Debian calls them, and where it puts them; /usr/sbin is not on everybody's PATH.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
NEEDED = ("varnishd", "varnishstat", "redis-server", "wrk")

_PATIENCE = 20.0  # s to start, and to stop; Varnish compiles its configuration first
_BETWEEN_LOOKS = 0.02  # s


def program(name: str) -> str:
    """Where a program is. Raises FileNotFoundError if it is not installed."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise FileNotFoundError(name)
    return found


def missing() -> list[str]:
    """Which of the programs needed are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=_PATH) is None]


def free_port() -> int:
    """A port of loopback nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def daemon(command: Sequence[str], *, port: int, log: Path) -> Iterator[None]:
    """Runs a server that listens on `port` for as long as the context lasts.

    Raises SystemExit if it does not start, or ends before it is told to.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
        try:
            _await_ready(process, port, log)
            yield
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended on its own:\n{log.read_text(errors='replace')}")
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            finally:
                process.kill()
                process.wait()


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(_BETWEEN_LOOKS)
        else:
            return
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
