"""Whether a store's file may have ended the process that had it open, and what is done about that.

Some kinds of damage (one wrong bit in the size of an entry is enough) end every process that touches them, by SIGBUS,
SIGSEGV or a failed assertion of LMDB's: a worker that died so would be followed by one that dies the same way. So the
successor has the file checked before it opens it, and sets it aside if it is damaged.
"""

import logging
import signal
import subprocess
from pathlib import Path

from broker.errors import StoreError
from broker.store.folder import PATIENCE, Folder
from broker.store.lmdb_check import DAMAGED, command

log = logging.getLogger(__name__)

SIGNALS_OF_DAMAGE = frozenset({signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
"""Those a damaged file may end a process by. SIGKILL and SIGTERM are somebody's wish, and tell nothing of the file."""
_LEAST = 30.0  # s for the check of a small file, on a machine that has other things to do
_PACE = 50e6  # bytes a second; from a disk of today it is 200e6 and more, from memory 1e9


def check_after_crash(path: Path) -> bool:
    """Checks the store in folder `path`; to be called before it is opened, by the successor of a worker that crashed.

    Other workers may have it open: they read and write while it is being checked, and begin a new one once it was set
    aside. Takes 1 s for each gigabyte that is in memory, and at most 30 s and 20 s for each gigabyte; what takes longer
    is set aside, too: it is under suspicion, and losing a cache costs time alone, while a file that ends one process
    after another costs requests.

    Returns whether it was set aside: renamed, never deleted. Raises `StoreError` if it is damaged and cannot be
    renamed.
    """
    try:
        folder = Folder(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        msg = f"store {path}: {error}; check that it is a folder, and may be read"
        raise StoreError(msg) from error
    try:
        reason = _find_fault(folder)
        if reason is None:
            return False
        with folder.exclusive(patience=PATIENCE):
            return folder.set_aside(reason)
    except OSError as error:
        msg = f"store {path}: it is damaged, but cannot be renamed: {error}; rename it, or make its parent writable"
        raise StoreError(msg) from error
    finally:
        folder.close()


def _find_fault(folder: Folder) -> str | None:
    """What is wrong with the files; None if nothing is."""
    path = folder.path
    patience = _LEAST + folder.size() / _PACE
    try:
        check = subprocess.run(command(path), capture_output=True, check=False, timeout=patience)  # noqa: S603 - our own
    except subprocess.TimeoutExpired:
        return f"a worker crashed, and the file could not be checked within {patience:.0f} s"
    if -check.returncode in SIGNALS_OF_DAMAGE:
        return f"a worker crashed, and reading the file ends the process ({signal.Signals(-check.returncode).name})"
    if check.returncode == DAMAGED:
        return f"a worker crashed, and the file is damaged: {check.stderr.decode(errors='replace').strip()}"
    if check.returncode:
        log.error("store %s could not be checked after a crash (exit code %d); it is kept", path, check.returncode)
    return None
