"""The lock that a broker holds on its store for as long as it runs, so that no second broker uses the same one.

It is a lock (flock) on a file in the folder. A folder that is set aside takes its files along while the broker goes on:
the file then also gets a name in the folder that takes its place (a hard link), and the lock with it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from broker.errors import StoreError

LOCK_FILE = "broker.lock"
_LOCKS = Path("/proc/locks")


@contextmanager
def broker_lock(path: Path) -> Iterator[None]:
    """Holds the lock on the store in folder `path`, which is made if it is missing. Raises `StoreError`."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, mode=0o600)
    except OSError as error:
        msg = (
            f"store.path {path}: cannot be used ({error.strerror}); it has to be a folder that the broker can write to"
        )
        raise StoreError(msg) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = lock_holder(descriptor)
        os.close(descriptor)
        msg = f"store.path {path}: another broker uses it, {holder}; stop that, or give each broker a store of its own"
        raise StoreError(msg) from None
    try:
        yield
    finally:
        os.close(descriptor)


def keep_broker_lock(old: Path, new: Path) -> None:
    """Gives the file in `old` a name in `new`, which is made if it is missing, in place of one that is there."""
    if not (old / LOCK_FILE).exists():  # nobody holds the lock: the store belongs to a worker without a supervisor
        return
    with suppress(OSError):  # as on a file system without hard links: the store is of use without a lock
        new.mkdir(exist_ok=True, mode=0o700)
        (new / LOCK_FILE).unlink(missing_ok=True)
        (new / LOCK_FILE).hardlink_to(old / LOCK_FILE)


def lock_holder(descriptor: int) -> str:
    """Who holds the lock (flock) on an open file, as far as the kernel tells."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        lines = []
    # As in "1: FLOCK  ADVISORY  WRITE 4711 fd:00:131 0 EOF"; what waits has "->" in second place.
    holders = [line[4] for line in lines if line[1:2] == ["FLOCK"] and line[5:6] == [file]]
    return f"process {holders[0]}" if holders else "another process"
