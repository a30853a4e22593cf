"""A third-party server as a child process on a free port of loopback; it is ready when it accepts connections."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

# As Debian names and places them; /usr/sbin is not on every PATH.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
NEEDED = ("varnishd", "varnishstat", "redis-server", "wrk")

_TIMEOUT = 20.0  # s to start, and to stop; Varnish compiles its configuration first
_POLL_INTERVAL = 0.02  # s


def program(name: str) -> str:
    """The path of a program. Raises FileNotFoundError if it is not installed."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise FileNotFoundError(name)
    return found


def missing() -> list[str]:
    """The needed programs that are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=_PATH) is None]


def free_port() -> int:
    """A port of loopback on which nobody listens at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def daemon(command: Sequence[str], *, port: int, log: Path) -> Iterator[None]:
    """Runs a server that listens on `port` for as long as the context lasts.

    Raises SystemExit if it does not start, or ends on its own.
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
                process.wait(_TIMEOUT)
            finally:
                process.kill()
                process.wait()


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(_POLL_INTERVAL)
        else:
            return
    raise SystemExit(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
