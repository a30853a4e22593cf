"""What a program cost, as a benchmark measures it."""

from pathlib import Path

import pytest

from benchmarks.program_cost import run_program

PROGRAM = """
import sys, time
held = bytearray(64 << 20)
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("done")
sys.exit(3)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "costly.py").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "costly"


def test_cpu_time_memory_output_and_exit_code_are_the_programs_own(module: str, tmp_path: Path) -> None:
    held = bytearray(256 << 20)  # by the parent, which does not count
    cost = run_program([module], output=tmp_path / "output")
    assert len(held) > 0
    assert cost.exit_code == 3
    assert (tmp_path / "output").read_text(encoding="utf-8") == "done\n"
    assert cost.cpu_seconds >= 0.3
    assert cost.seconds > 0
    assert 64 < cost.peak_rss_mib < 200
