"""A worker may have as many files open as its configuration can need; one that may not is refused at start."""

import resource
import subprocess
import sys
from dataclasses import replace

import pytest

from broker.config import ServerConfig
from broker.institutions.stub import stub_spec
from broker.runtime.open_files import find_limit_fault, open_files

RAISES = """
import resource
from broker.runtime.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 300))
allow_open_files({needed})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_every_connection_of_both_edges_counts() -> None:
    banks = [replace(stub_spec("one"), concurrency=8), replace(stub_spec("other"), concurrency=2)]
    few, many = (open_files(ServerConfig(max_connections=count), banks) for count in (1, 1_000))
    assert many - few == 999
    assert few - open_files(ServerConfig(max_connections=1), []) == 10


def test_more_than_the_hard_limit_is_a_fault_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 300))
    assert find_limit_fault(300) is None
    assert "LimitNOFILE" in (find_limit_fault(301) or "")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, resource.RLIM_INFINITY))
    assert find_limit_fault(10**9) is None


@pytest.mark.parametrize(("needed", "allowed"), [(10, 64), (200, 200), (1_000, 300)])
def test_the_soft_limit_is_raised_as_far_as_allowed(needed: int, allowed: int) -> None:
    command = [sys.executable, "-c", RAISES.format(needed=needed)]
    assert int(subprocess.run(command, check=True, capture_output=True).stdout) == allowed  # noqa: S603
