"""Where the cache's keys come from: a file, an environment variable, or a command that asks a key management service.

* a path: the file is made, with one new key, if there is none. One that others can read protects nothing, and is
  refused.
* `env:NAME`: the content of an environment variable.
* `command:PROGRAM ARGUMENTS`: what a program prints. It is run without a shell by each process of the broker that
  starts, and by each reload; it has ten seconds, and 64 KiB.

All three give the text of a key ring (key_ring). Nothing of it appears in a message, nor does what a command says when
it fails.
"""

import os
import selectors
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from broker.errors import StoreError
from broker.private_file import PrivateFileError, make_private, read_private
from broker.runtime.key_ring import KeyRing, KeyRingError, new_ring

_ENVIRONMENT, _COMMAND = "env:", "command:"
_TIMEOUT = 10.0  # s for a command; a key management service answers within one
_LONGEST = 64 * 1024  # bytes


class _KeySourceError(Exception):
    """There is no key ring. The message says why."""


def load_key_ring(source: str, *, timeout: float = _TIMEOUT) -> KeyRing:
    """The key ring that `store.key_file` names; a file is made if there is none. Raises `StoreError`.

    `timeout`: seconds for a command.
    """
    try:
        if (path := key_path(source)) is not None and not path.exists():
            make_private(path, new_ring(time.strftime("%Y-%m-%d")).text().encode())
        return KeyRing.parse(_text(source, timeout))
    except (PrivateFileError, _KeySourceError, KeyRingError) as error:
        msg = f"store.key_file {source}: {error}"
        raise StoreError(msg) from None


def find_key_fault(source: str) -> str | None:
    """Why there is no key ring there; None if there is one, or a file would be made. A command is not run."""
    try:
        path = key_path(source)
        if source.startswith(_COMMAND):
            _program(source)
        elif path is None or path.exists():
            KeyRing.parse(_text(source, _TIMEOUT))
    except (PrivateFileError, _KeySourceError, KeyRingError) as error:
        return str(error)
    return None


def key_exists(source: str) -> bool:
    """Whether the keys come from elsewhere than a file that is still to be made."""
    path = key_path(source)
    return path is None or path.exists()


def key_path(source: str) -> Path | None:
    """The file, if the source is one."""
    return None if source.startswith((_ENVIRONMENT, _COMMAND)) else Path(source)


def _text(source: str, timeout: float) -> str:
    if source.startswith(_ENVIRONMENT):
        return _from_environment(source.removeprefix(_ENVIRONMENT))
    content = _printed(_program(source), timeout) if source.startswith(_COMMAND) else read_private(Path(source))
    return content.decode("ascii", "replace")


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise _KeySourceError(f"the environment variable {name} is not set: set it for the broker")
    return value


def _program(source: str) -> list[str]:
    """The program and its arguments. Raises `_KeySourceError` if it cannot be run."""
    try:
        arguments = shlex.split(source.removeprefix(_COMMAND))
    except ValueError:
        raise _KeySourceError("the command has a quote without an end") from None
    if not arguments or shutil.which(arguments[0]) is None:
        raise _KeySourceError("there is no such program; name one that the broker's user may execute")
    return arguments


def _printed(arguments: list[str], timeout: float) -> bytes:
    """What a program prints. Raises `_KeySourceError` if it fails, takes too long, or prints too much."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise _KeySourceError(f"the program cannot be run ({error.strerror})") from None
    with process:
        try:
            return _read_all(process, time.monotonic() + timeout)
        except TimeoutError:
            raise _KeySourceError(f"the program did not end within {timeout:g} s") from None
        finally:
            process.kill()


def _read_all(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Raises `TimeoutError` and `_KeySourceError`."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(process.stdout.fileno(), _LONGEST)
            content += part
            if len(content) > _LONGEST:
                raise _KeySourceError(f"the program printed more than {_LONGEST} bytes")
            if not part:
                break
        else:
            raise TimeoutError
    try:
        code = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    if code:
        raise _KeySourceError(f"the program ended with exit code {code}; run it to see why")
    return content
