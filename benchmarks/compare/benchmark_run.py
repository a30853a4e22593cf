"""Runs a benchmark of one version as a process, and reads the line of JSON that it prints last."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCHMARKS = {
    "hits": ("benchmarks.hits",),
    "misses": ("benchmarks.misses",),
    "misses-protobuf": ("benchmarks.misses", "--dialect", "protobuf"),
}
"""The module and its options, by the name of the benchmark."""
_FAULTS = ("wrong_answers", "lost", "asked_twice", "unanswered")
_STOP_TIMEOUT = 60.0  # s; the benchmark stops a broker and the mocks, and then removes its files
_SHOWN = 2_000  # characters of what a benchmark wrote before it failed


class RunError(Exception):
    """A benchmark failed, or found wrong answers."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run measured."""

    rate: float
    """Inquiries per second."""
    cpu: float
    """CPU time of the broker per inquiry, in microseconds."""


def run(benchmark: str, folder: Path, options: Sequence[str]) -> Measurement:
    """Runs a benchmark of the checkout in `folder` in this Python environment. Raises `RunError`.

    When interrupted, it has the benchmark stop its servers first.
    """
    module, *fixed = BENCHMARKS[benchmark]
    process = subprocess.Popen(
        [sys.executable, "-m", module, *fixed, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},  # its servers run in another folder
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
    )
    try:
        output, errors = process.communicate()
    except BaseException:
        _stop(process)
        raise
    if process.returncode:
        msg = f"it failed with exit code {process.returncode}:\n{(output + errors)[-_SHOWN:]}"
        raise RunError(msg)
    return read(output)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def read(output: str) -> Measurement:
    """What a benchmark measured, from its output. Raises `RunError` if that is nothing, or if answers were wrong."""
    try:
        result: Any = json.loads(output.strip().split("\n")[-1])
        measured = Measurement(float(result["inquiries_per_second"]), float(result["broker_cpu_us_per_inquiry"]))
        faults = [f"{name}: {result[name]}" for name in _FAULTS if result.get(name)]
    except (AttributeError, TypeError, KeyError, ValueError):
        msg = f"it printed no result in its last line:\n{output[-_SHOWN:]}"
        raise RunError(msg) from None
    if faults:
        raise RunError("not all answers were right: " + ", ".join(faults))
    if measured.rate <= 0 or measured.cpu <= 0:
        raise RunError("it measured nothing: no inquiries, or no CPU time")
    return measured
