"""The files of a log: the journal, which is appended to, and what is published, which is replaced as a whole.

Paths are relative to the folder of the log. Everything is its owner's alone. `OSError` means that the log has to stop.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from broker.errors import AuditError

_OWNER_FOLDER, _OWNER_FILE = 0o700, 0o600
_TEMPORARY = ".new"
_LOOK = 0.1  # s between two looks whether another process has left


class Appending(Protocol):
    """A file that is appended to."""

    def write(self, pieces: Sequence[bytes]) -> None:
        """Appends bytes, and returns when they are durable."""

    def close(self) -> None:
        """Ends the use of the file."""


class Files(Protocol):
    """The folder of a log."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, in order. None if there is no such folder."""

    def read(self, path: str) -> bytes | None:
        """The content of a file; None if there is no such file."""

    def append_to(self, path: str) -> Appending:
        """Opens a file, which is made if it is missing."""

    def truncate(self, path: str, size: int) -> None:
        """Cuts a file off at a size, durably."""

    def replace(self, resources: Iterable[tuple[str, bytes]]) -> None:
        """Makes or replaces files. Each is whole whenever it is read; all are durable on return."""

    def delete(self, path: str) -> None:
        """Deletes a file or folder, if there is one, durably."""

    def close(self) -> None:
        """Ends the use of the folder."""


class DiskFiles:
    """See `Files`. Holds a lock on the folder, so that no two processes continue the same log."""

    def __init__(self, folder: Path, *, patience: float = 0.0, pause: Callable[[float], object] = time.sleep) -> None:
        """Waits up to `patience` seconds for another process to leave the folder.

        Raises `AuditError` if it does not leave, or the folder cannot be used at all.
        """
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=_OWNER_FOLDER)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, mode=_OWNER_FILE)
        except OSError as error:
            msg = f"audit log {folder}: cannot be used ({error.strerror}); make its owner the broker's user"
            raise AuditError(msg) from error
        while not self._is_locked():
            if patience <= 0:
                os.close(self._lock)
                msg = f"audit log {folder}: another process writes it; stop that, or choose another audit.path"
                raise AuditError(msg)
            patience -= _LOOK
            pause(_LOOK)

    def _is_locked(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        with suppress(FileNotFoundError):
            return sorted(entry.name for entry in (self._folder / folder).iterdir())
        return []

    def read(self, path: str) -> bytes | None:
        """See `Files`."""
        with suppress(FileNotFoundError):
            return (self._folder / path).read_bytes()
        return None

    def append_to(self, path: str) -> Appending:
        """See `Files`."""
        whole = self._folder / path
        _make_folder(whole.parent)
        return _AppendedFile(whole)

    def truncate(self, path: str, size: int) -> None:
        """See `Files`."""
        with (self._folder / path).open("rb+") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def replace(self, resources: Iterable[tuple[str, bytes]]) -> None:
        """See `Files`."""
        folders = set()
        for path, content in resources:
            whole = self._folder / path
            _make_folder(whole.parent)
            folders.add(whole.parent)
            new = whole.with_name(whole.name + _TEMPORARY)
            with open(new, "wb", opener=_owner_only) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(whole)
        for folder in folders:
            _sync_folder(folder)

    def delete(self, path: str) -> None:
        """See `Files`."""
        whole = self._folder / path
        if whole.is_dir():
            shutil.rmtree(whole)
        else:
            whole.unlink(missing_ok=True)
        if whole.parent.is_dir():
            _sync_folder(whole.parent)

    def close(self) -> None:
        """See `Files`."""
        os.close(self._lock)


class _AppendedFile:
    """See `Appending`."""

    def __init__(self, path: Path) -> None:
        is_new = not path.exists()
        # O_DSYNC: what is written is durable when the call returns, as after fdatasync.
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_DSYNC, _OWNER_FILE)
        if is_new:
            _sync_folder(path.parent)

    def write(self, pieces: Sequence[bytes]) -> None:
        left = memoryview(b"".join(pieces))
        while left:
            left = left[os.write(self._descriptor, left) :]

    def close(self) -> None:
        os.close(self._descriptor)


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_FILE)


def _make_folder(folder: Path) -> None:
    """Makes a folder with all that it lies in, durably."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=_OWNER_FOLDER)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
