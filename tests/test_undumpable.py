"""No process of the broker leaves a core: the limit of a core is zero, and without the limit there is none either."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DIES = """
import os, resource, signal
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
resource.setrlimit = lambda *_: None
{forbid}
os.kill(os.getpid(), signal.SIGSEGV)
"""
FORBID = "from broker.undumpable import forbid_dumps; forbid_dumps()"
LIMIT = f"""
import subprocess, sys
{FORBID}
sys.exit(subprocess.call(["sh", "-c", "exit $(ulimit -Hc)"]))
"""
LEAVES_FILES = (
    not Path("/proc/sys/kernel/core_pattern").read_text().startswith("|")
    and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
)


def run(code: str, folder: Path) -> int:
    return subprocess.run([sys.executable, "-c", code], check=False, cwd=folder).returncode  # noqa: S603


@pytest.mark.skipif(not LEAVES_FILES, reason="no process here leaves a core where it runs")
def test_a_process_that_is_not_dumpable_leaves_no_core_whatever_the_limit(tmp_path: Path) -> None:
    assert run(DIES.format(forbid=""), tmp_path) == -signal.SIGSEGV
    (core,) = tmp_path.iterdir()  # else the rest could not fail
    core.unlink()
    assert run(DIES.format(forbid=FORBID), tmp_path) == -signal.SIGSEGV
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_zero_for_child_processes_too(tmp_path: Path) -> None:
    assert run(LIMIT, tmp_path) == 0
