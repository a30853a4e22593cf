"""Runs a program to its end, and measures what it cost: wall time, CPU time, and memory at its highest."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_INTERVAL = (
    0.05  # s between two readings of the memory; the kernel keeps the highest value, so only the end can be missed
)


@dataclass(frozen=True, slots=True)
class ProgramCost:
    """What a program cost."""

    exit_code: int
    seconds: float
    """Wall time."""
    cpu_seconds: float
    """User and system, of all its threads."""
    peak_rss_mib: float
    """Its resident memory at the highest, with the libraries that it has mapped."""


def run_program(arguments: Sequence[str], *, output: Path) -> ProgramCost:
    """Runs `python -m` with the arguments until it ends. Its standard output goes to a file."""
    with output.open("wb") as file:
        began = perf_counter()
        program = subprocess.Popen([sys.executable, "-m", *arguments], stdout=file, stderr=subprocess.STDOUT)
        memory = _Highest(program.pid)
        memory.start()
        _, status, usage = os.wait4(program.pid, 0)  # the usage of this child alone
        seconds = perf_counter() - began
        program.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
        memory.join()
    return ProgramCost(program.returncode, seconds, usage.ru_utime + usage.ru_stime, memory.mib)


class _Highest(threading.Thread):
    """Follows a process until it ends. `ru_maxrss` would not do: it begins with the memory of the parent."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.mib = 0.0

    def run(self) -> None:
        status = Path(f"/proc/{self._pid}/status")
        while not self._ended.wait(_INTERVAL):
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            except (FileNotFoundError, ProcessLookupError):
                return
            if found is None:  # a zombie has no memory
                return
            self.mib = int(found[1]) / 1024
