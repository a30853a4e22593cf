"""A server as a child process, with its CPU time and memory as the kernel counts them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_STOP_TIMEOUT = 20.0  # s; the broker drains its streams first
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """A Python module run as a process. It prints one line of JSON when it is ready, and stops on SIGTERM.

    Raises SystemExit, with the log, if it ends before that line.
    """

    def __init__(self, *arguments: str, log: Path) -> None:
        """Runs `python -m` with the arguments, in the folder of `log`, and waits until it is ready."""
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=log.parent,
            start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then stops its servers in order
        )
        if self._process.stdout is None:
            msg = "the process was started without a pipe"
            raise RuntimeError(msg)
        self._stdout = self._process.stdout
        line = self._stdout.readline()
        if not line:
            raise SystemExit(f"{arguments[0]} did not start:\n{log.read_text()}")
        self.announced: dict[str, Any] = json.loads(line)
        """The line it printed: addresses, process ids."""

    @property
    def pids(self) -> list[int]:
        """The process and its workers, if it announced any."""
        return list({self._process.pid, *(worker["pid"] for worker in self.announced.get("workers", ()))})

    def cpu_seconds(self) -> float:
        """CPU time used so far, user and system, by all threads of all its processes."""
        return sum(map(_cpu_seconds, self.pids))

    def rss_mib(self) -> float:
        """Anonymous memory of its largest process, in MiB. Pages of mapped files do not count."""
        return max(map(rss_mib, self.pids))

    def stop(self) -> None:
        """Terminates it, and kills it if it does not end in time."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._log.close()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # the process has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int) -> float:
    """Anonymous memory of a process in MiB, without pages of mapped files; 0 if the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0
