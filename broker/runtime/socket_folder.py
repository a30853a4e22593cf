"""The folder with the sockets through which the workers of a host reach each other.

A broker that is killed leaves its folder behind, and the next one of the same user removes it. Each broker holds a lock
(flock) on its own folder, so that one whose lock is free has lost its broker. Nothing but sockets is ever removed.
"""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

_PREFIX = "broker-sockets-"


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A new folder for sockets, which only this user can enter. It is removed at the end."""
    parent = Path(tempfile.gettempdir())
    for path in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or another broker is just removing it
            if _remove_abandoned(path):
                log.info("removed %s, which a broker that was killed left behind", path)
    path, descriptor = _make(parent)
    try:
        yield path
    finally:
        with suppress(OSError):
            _remove(path)
        os.close(descriptor)


def _make(parent: Path) -> tuple[Path, int]:
    """A new folder, and its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():  # another broker that starts may have found it before it was locked
                return path, descriptor
            os.close(descriptor)


def _remove_abandoned(path: Path) -> bool:
    """Removes a folder whose broker is gone. Returns whether that was so. Raises `OSError` if it cannot be removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or `BlockingIOError`: its broker lives
        _remove(path)
        return not path.exists()
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    files = list(path.iterdir())
    if all(stat.S_ISSOCK(file.lstat().st_mode) for file in files):
        for file in files:
            file.unlink(missing_ok=True)
        path.rmdir()
