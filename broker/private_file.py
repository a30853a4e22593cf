"""Files with secrets: whole from their first moment, and of no use to others than their owner."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PrivateFileError(Exception):
    """A file cannot be used. The message says why, and not what is in it."""


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner may use. Raises `PrivateFileError`."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe, for example, could take for ever
            raise PrivateFileError("is not a file; name one, or one that does not exist yet")
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _OTHERS:
                msg = f"others than its owner may use it (mode {mode:03o}); run: chmod 600 {path}"
                raise PrivateFileError(msg)
            return file.read()
    except OSError as error:
        msg = f"cannot be used ({error.strerror})"
        raise PrivateFileError(msg) from None


def make_private(path: Path, content: bytes) -> None:
    """Makes a file, unless another process is faster. Raises `PrivateFileError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f"{path.name}.") as file:  # its owner's alone
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(file.name)
    except OSError as error:
        msg = f"cannot be made ({error.strerror})"
        raise PrivateFileError(msg) from None


def replace_private(path: Path, content: bytes) -> None:
    """Replaces the content of a file at one moment; its owner stays the same. Raises `PrivateFileError`."""
    try:
        owner = path.stat()
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
            try:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        msg = f"cannot be replaced ({error.strerror})"
        raise PrivateFileError(msg) from None
