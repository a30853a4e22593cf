"""The load test as its users run it: it passes on a sound system, and fails on every broken one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import testbed as benchmark
from loadtest.__main__ import main
from mock_institutions.population import Population

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def testbed() -> Iterator[benchmark.Testbed]:
    with benchmark.open_testbed(seed=1) as opened:
        yield opened


def people(folder: Path) -> Path:
    """A file with one person of the mocks' population: two runs ask the same, however few requests they send."""
    lines = [",".join(one[1:]) for one in Population(1).sample(1, rng_seed=1, mix="persons")]
    path = folder / "people.csv"
    path.write_text("\n".join(["type,number,name", *lines]), encoding="utf-8")
    return path


def run(folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, result, and all that was printed. It runs in a folder from which nothing can be imported.

    A machine so slow that nobody got to ask in a second gets more time.
    """
    for seconds in (1, 5, 25):
        code, result, printed = run_for(seconds, folder, *options)
        if "no request was made" not in printed:
            break
    return code, result, printed


def run_for(seconds: int, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The same, for so many seconds."""
    command = [sys.executable, "-m", "loadtest", "--users", "4", "--seconds", str(seconds), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(  # noqa: S603 - our own program
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    lines = ended.stdout.splitlines()
    return ended.returncode, json.loads(lines[-1])["loadtest"] if lines else {}, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loadtest")


@pytest.fixture(scope="module")
def baseline(testbed: benchmark.Testbed, folder: Path) -> Path:
    """The baseline that a run against a sound system has recorded."""
    options = ("--host", testbed.address, "--people", str(people(folder)), "--record", "baseline.json")
    code, result, printed = run(folder, *options)
    assert code == 0, printed
    assert result["passed"]
    assert result["answers_checked"] == sum(sum(counts.values()) for counts in result["answers"].values()) > 0
    assert set(result["answers"]) == {"mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate"}
    first, last = result["first_report_ms"], result["last_report_ms"]
    assert {kind: one["requests"] for kind, one in first.items()} == {
        kind: one["requests"] for kind, one in last.items()
    }
    return folder / "baseline.json"


def test_a_run_of_several_processes_passes(testbed: benchmark.Testbed, folder: Path, baseline: Path) -> None:
    options = ("--people", str(people(folder)), "--truth", str(baseline), "--processes", "2")
    code, result, printed = run(folder, "--host", testbed.address, *options)
    assert code == 0, printed
    assert result["answers_checked"] > 0


def test_wrong_answers_fail(testbed: benchmark.Testbed, folder: Path, baseline: Path) -> None:
    learnt = json.loads(baseline.read_text(encoding="utf-8"))
    learnt["answers"] = dict.fromkeys(learnt["answers"], "00" * 16)
    (folder / "other.json").write_text(json.dumps(learnt), encoding="utf-8")
    options = ("--host", testbed.address, "--people", str(people(folder)))
    code, result, printed = run(folder, *options, "--truth", "other.json")
    assert code == 1, printed
    assert "wrong answer" in printed
    assert not result["passed"]
    assert sum(counts.get("WRONG", 0) for counts in result["answers"].values()) > 0


def test_institutions_that_know_nobody_fail(testbed: benchmark.Testbed, folder: Path) -> None:
    code, _, printed = run(folder, "--host", testbed.address, "--seed", "2")  # people the mocks have never heard of
    assert code == 1, printed
    assert "mock-bank: REFUSED" in printed


def test_a_file_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("type,number,name\nNAME,1,x\n", encoding="utf-8")
    for options, told in (
        (["--truth", "nothing.json"], "nothing.json"),
        (["--people", str(tmp_path / "people.csv")], "line 2: must be type,number,name"),
        (["--record", "x", "--processes", "2"], "--record needs --processes 1"),
    ):
        result = CliRunner().invoke(main, options)
        assert result.exit_code == 2
        assert told in result.output


def test_users_and_options_work_in_another_locustfile(testbed: benchmark.Testbed, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from loadtest.users import CourtUser\n\n\nclass Officer(CourtUser):\n    weight = 1\n", encoding="utf-8"
    )
    options = ["-f", "mine.py", "--headless", "--host", testbed.address, "-u", "2", "-t", "3s"]
    options += ["--user-rate", "20", "--p99", "0.001", "--result", "r.json"]
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "locust", *options, "Officer"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    result = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert all("ms at p99" in sentence for sentence in result["exceeded"])


def test_institutions_that_are_down_fail(testbed: benchmark.Testbed, folder: Path) -> None:
    testbed.mocks.stop()  # for good: this test is the last of the module
    code, result, printed = run(folder, "--host", testbed.address)
    assert code == 1, printed
    assert "UNAVAILABLE" in printed
    failures = {kind: one["failures"] for kind, one in result["last_report_ms"].items()}
    assert failures == {kind: one["failures"] for kind, one in result["first_report_ms"].items()}
    assert sum(failures.values()) > 0
