"""The file with the master key: read, or made whole from its first moment if there is none."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from broker.errors import StoreError

_KEY_SIZE = 32


def load_key(path: Path) -> bytes:
    """The master key in a file, which is made if there is none. Raises `StoreError` if it is no key."""
    try:
        if not path.exists():
            _make_key(path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        msg = f"store.key_file {path}: cannot be read as {2 * _KEY_SIZE} hexadecimal digits ({type(error).__name__})"
        raise StoreError(msg) from error
    if len(key) != _KEY_SIZE:
        msg = f"store.key_file {path}: holds {len(key)} bytes, {_KEY_SIZE} are needed"
        raise StoreError(msg)
    return key


def _make_key(path: Path) -> None:
    """Makes a key file, whole from its first moment, unless another worker is faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.") as file:  # its owner's alone
        file.write(secrets.token_hex(_KEY_SIZE) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(file.name)
