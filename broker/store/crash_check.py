"""Checks a store's file after a worker has crashed, and sets it aside if it is damaged.

Some kinds of damage (one wrong bit in the size of an entry is enough) end every process that touches them, by SIGBUS,
SIGSEGV or a failed assertion of LMDB's: every successor of a worker that was
ended in this way would be ended in the same way. So the successor has the file checked before it opens it.
"""

import logging
from pathlib import Path

from broker.errors import StoreError
from broker.store.base import ProgressCallback, no_progress
from broker.store.file_check import Verdict, check_files
from broker.store.folder import PATIENCE, Folder

log = logging.getLogger(__name__)


def check_after_crash(path: Path, progress: ProgressCallback = no_progress) -> bool:
    """Checks the store in folder `path`; to be called before it is opened, by the successor of a worker that crashed.

    Other workers may have it open: they read and write while it is being checked, and begin a new one once it was set
    aside. A check that cannot be made or finished is logged, and the file kept: it is under suspicion, but the machine
    may merely be overloaded. If the worker crashes again, its successor checks the file again.

    `progress`: see `check_files`. Returns whether the file was set aside: renamed, never deleted. Raises `StoreError`
    if it is damaged and cannot be renamed.
    """
    try:
        folder = Folder(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        msg = f"store {path}: {error}; check that it is a folder, and may be read"
        raise StoreError(msg) from error
    try:
        finding = check_files(path, progress)
        if finding.verdict is Verdict.DAMAGED:
            with folder.exclusive(patience=PATIENCE):
                return folder.set_aside(f"a worker crashed, and {finding.reason}")
    except OSError as error:
        msg = f"store {path}: it is damaged, but cannot be renamed: {error}; rename it, or make its parent writable"
        raise StoreError(msg) from error
    finally:
        folder.close()
    if finding.verdict is Verdict.UNKNOWN:
        log.error("store %s could not be checked after a crash: %s; it is kept", path, finding.reason)
    return False
