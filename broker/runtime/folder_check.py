"""Whether the broker can use a folder that the configuration names, and nobody else can do it harm there.

What lies in these folders is sealed or signed. But whoever may write to one can replace its files, and whoever may
enter the folder of the cache learns how much is asked, and when.
"""

import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def find_folder_fault(path: Path) -> str | None:
    """Why a folder cannot be used, or made if it is missing; None if it can."""
    nearest = path.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"{nearest} is no folder; move it, or choose another path"
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return f"the broker may not write to {nearest}; make its user the owner, or choose another path"
    return None


def find_data_folder_fault(path: Path, *, readable: bool = False) -> str | None:
    """The same of a folder of the broker's data, in which others have no business.

    `readable`: they may read what is in it, but not change it.
    """
    if fault := find_folder_fault(path):
        return fault
    forbidden = _OTHERS_WRITE if readable else _OTHERS
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
    if mode & forbidden:
        return f"others than its owner may use it (mode {mode:03o}); run: chmod {mode & ~forbidden:03o} {path}"
    return None


def find_socket_folder_fault(parent: Path) -> str | None:
    """Why the workers' sockets must not lie in a folder below this one; None if they may."""
    mode = parent.stat().st_mode if parent.is_dir() else 0
    if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
        return f"others may rename what is in {parent}; run: chmod +t {parent}, or set TMPDIR to another folder"
    return None
