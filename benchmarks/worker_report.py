"""How an instrumented worker reports its measurements: on SIGUSR1 it writes them as JSON to its working directory."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.testbed import Testbed

_FILE = "report.json"
_ROOT = Path(__file__).parent.parent
_TIMEOUT = 60.0  # s; a worker whose loop is blocked reports when the step in progress ends


def publish(report: Callable[[], Mapping[str, Any]]) -> None:
    """Has this process write a report on SIGUSR1. `report` returns what was measured since its last call."""

    def write(*_: object) -> None:
        unfinished = Path(f"{_FILE}.new")
        unfinished.write_text(json.dumps(dict(report())), encoding="utf-8")
        unfinished.replace(_FILE)

    signal.signal(signal.SIGUSR1, write)


def program(module: str) -> tuple[str, ...]:
    """The command that runs an instrumented worker, as `open_testbed` takes it."""
    os.environ["PYTHONPATH"] = str(_ROOT)  # the worker runs in another folder
    return (f"benchmarks.{module}",)


def fetch(testbed: Testbed) -> dict[str, Any]:
    """What the only worker of a testbed has measured since the last call."""
    path = testbed.folder / _FILE
    path.unlink(missing_ok=True)
    (worker,) = testbed.broker.announced["workers"]
    os.kill(worker["pid"], signal.SIGUSR1)
    end = time.monotonic() + _TIMEOUT
    while not path.exists():
        if time.monotonic() > end:
            raise SystemExit(f"the worker did not write {_FILE} within {_TIMEOUT:.0f} s")
        time.sleep(0.05)
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
