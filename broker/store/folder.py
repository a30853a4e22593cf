"""The folder a store lies in, the lock on it, and how it is set aside.

Several workers may have the folder open. Its lock (flock on the folder itself) is the right to write, to begin a file
in it, and to set it aside. A cache that cannot be used is renamed, never deleted, so that the operator can find out
what happened. Therefore the holder of the lock checks whether the folder it opened still has its name.

No wait for the lock is without bound: the worker that holds it may be stopped. The lock is polled, because a wait for
flock cannot be ended from outside.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from broker.errors import StoreError
from broker.store.broker_lock import keep_broker_lock, lock_holder

log = logging.getLogger(__name__)

PATIENCE = 5.0  # s to wait for the lock: it is held for a round of writing, which takes half a second at most
_FIRST_PAUSE = 0.0002  # s between the first two attempts to take the lock, doubled each time
LONGEST_PAUSE = 0.004  # s; a process that takes the lock repeatedly leaves it free for longer than this in between

DAMAGED = "damaged"
OTHER_KEY = "other-key"

LockWait = Callable[[float], object]
"""Waits for some seconds; returns something true to give up what is waited for."""


class LockedError(StoreError):
    """Another process held the lock for as long as there was patience to wait."""


class Folder:
    """An open folder. State: its descriptor."""

    def __init__(self, path: Path) -> None:
        """Opens the folder. Raises `OSError`."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Closes the folder."""
        os.close(self._descriptor)

    @contextmanager
    def exclusive(self, *, patience: float, pause: Callable[[float], object] = time.sleep) -> Iterator[None]:
        """The lock, waited for during `patience` seconds. Raises `LockedError`.

        `pause` waits for some seconds between two attempts, and returns something true to give up.
        """
        deadline, wait = time.monotonic() + patience, _FIRST_PAUSE
        while not self._try_lock():
            if time.monotonic() > deadline or pause(wait):
                msg = (
                    f"store {self.path}: its lock is held by {lock_holder(self._descriptor)}; end that if it is stopped"
                )
                raise LockedError(msg)
            wait = min(2 * wait, LONGEST_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def is_current(self) -> bool:
        """Whether this is still the folder of that name: another worker, or the operator, may have moved it away."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def size(self) -> int:
        """Bytes in the files of the folder."""
        sizes = (os.stat(name, dir_fd=self._descriptor).st_size for name in os.listdir(self._descriptor))  # noqa: PTH208 - of the open folder
        return sum(sizes)

    def set_aside(self, reason: object, mark: str = DAMAGED) -> bool:
        """Renames the folder, for the holder of its lock. Returns whether this was still needed. Raises `OSError`.

        `mark`: the part of the new name that says why.
        """
        if not self.is_current():  # another process has done it
            return False
        aside = aside_path(self.path, mark)
        self.path.rename(aside)
        keep_broker_lock(aside, self.path)
        log.error("store %s cannot be used: %s; kept as %s, beginning a new one", self.path, reason, aside.name)
        return True

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def aside_path(path: Path, mark: str) -> Path:
    """A new name beside the folder, under which it is kept."""
    stem = f"{path.name}.{mark}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    names = (path.with_name(f"{stem}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())
