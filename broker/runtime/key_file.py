"""The file with the master key: read, or made whole from its first moment if there is none.

A key that others can read protects nothing, so it is refused.
"""

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from broker.errors import StoreError

_KEY_SIZE = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_key(path: Path) -> bytes:
    """The master key in a file, which is made if there is none. Raises `StoreError` if it is no key."""
    try:
        if not path.exists():
            _make_key(path)
        return _read_key(path)
    except (OSError, ValueError) as error:
        msg = f"store.key_file {path}: {_reason(error)}"
        raise StoreError(msg) from error


def find_key_fault(path: Path) -> str | None:
    """Why a key file that is there cannot be used; None if it can be, or is not there."""
    try:
        if path.exists():
            _read_key(path)
    except (OSError, ValueError) as error:
        return _reason(error)
    return None


def _read_key(path: Path) -> bytes:
    """Raises `OSError`, or `ValueError` with a message that does not show the content."""
    if not path.is_file():  # reading a pipe, for example, could take for ever
        msg = "is not a file; name one, or one that does not exist yet"
        raise ValueError(msg)
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & _OTHERS:
            msg = f"others than its owner may use it (mode {mode:03o}); run: chmod 600 {path}"
            raise ValueError(msg)
        content = file.read()
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        msg = f"does not consist of {2 * _KEY_SIZE} hexadecimal digits; restore it from its backup"
        raise ValueError(msg) from None
    if len(key) != _KEY_SIZE:
        msg = f"holds {len(key)} bytes, {_KEY_SIZE} are needed; restore it from its backup"
        raise ValueError(msg)
    return key


def _reason(error: OSError | ValueError) -> str:
    return f"cannot be used ({error.strerror})" if isinstance(error, OSError) else str(error)


def _make_key(path: Path) -> None:
    """Makes a key file, whole from its first moment, unless another worker is faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.") as file:  # its owner's alone
        file.write(secrets.token_hex(_KEY_SIZE) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(file.name)
