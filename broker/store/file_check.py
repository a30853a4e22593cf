"""Runs the check of a store's files (store.lmdb_check) in a separate process, and interprets the result.

"Damage was found" and "the check could not be finished" are different results: on an overloaded machine a check may
take very long, whatever the state of the file. So the time of a check is not limited; it is given up only when it has
made no progress for `_PATIENCE`.
"""

import os
import select
import signal
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile

from broker.store.base import ProgressCallback
from broker.store.lmdb_check import DAMAGED, command

SIGNALS_OF_DAMAGE = frozenset({signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
"""The signals by which a damaged file may end a process. SIGKILL and SIGTERM are sent on purpose, and say nothing about
the file.
"""
_PATIENCE = 60.0  # s without progress; the check reports every 16 MiB, which a slow disk reads in a second


class Verdict(Enum):
    """The result of a check."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"
    """The check could not be made, or not be finished."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, with its reason."""

    verdict: Verdict
    reason: str = ""
    """Why the files are not known to be whole."""


def check_files(folder: Path, progress: ProgressCallback) -> Finding:
    """Checks the files of a store, which others may have open.

    Takes 1 s for each gigabyte that is in memory. `progress` is called each time the check has come further.
    """
    with TemporaryFile() as stderr:
        process = subprocess.Popen(command(folder), stdout=subprocess.PIPE, stderr=stderr)  # noqa: S603 - our own
        with process:
            if process.stdout is None or not _attend(process.stdout.fileno(), progress):
                process.kill()
                return Finding(Verdict.UNKNOWN, f"the check has not come further for {_PATIENCE:g} s")
        stderr.seek(0)
        return _judge(process.returncode, stderr.read().decode(errors="replace").strip())


def _attend(output: int, progress: ProgressCallback) -> bool:
    """Passes signs of progress on. True when there will be no more, False when there was none for too long."""
    while select.select([output], [], [], _PATIENCE)[0]:
        if not os.read(output, 1 << 16):
            return True
        progress()
    return False


def _judge(code: int, message: str) -> Finding:
    if code == 0:
        return Finding(Verdict.WHOLE)
    if code == DAMAGED:
        return Finding(Verdict.DAMAGED, f"the file is damaged: {message}")
    if -code in SIGNALS_OF_DAMAGE:
        return Finding(Verdict.DAMAGED, f"reading the file ends the process ({signal.Signals(-code).name})")
    return Finding(Verdict.UNKNOWN, f"the check ended with exit code {code}")
