"""A worker's report reaches the benchmark, whole and new each time."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import testbed as testbeds
from benchmarks.worker_report import fetch, publish


@pytest.fixture
def testbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[testbeds.Testbed]:
    """A testbed whose worker is this process."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGUSR1)
    broker: Any = SimpleNamespace(announced={"workers": [{"pid": os.getpid()}]})
    yield testbeds.Testbed(tmp_path, cast("Any", None), broker)
    signal.signal(signal.SIGUSR1, before)


def test_each_report_is_new(testbed: testbeds.Testbed) -> None:
    numbers = iter(range(3))
    publish(lambda: {"number": next(numbers)})
    assert [fetch(testbed)["number"] for _ in range(3)] == [0, 1, 2]
