"""Two versions are compared pair by pair, in turns; commits are checked out and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare.__main__ import in_words
from benchmarks.compare.benchmark_run import Measurement, RunError, read
from benchmarks.compare.results import Measurements, compare
from benchmarks.pairs import Side, Verdict

ROOT = Path(__file__).parents[2]

GOOD = {"inquiries_per_second": 1000, "broker_cpu_us_per_inquiry": 2.5, "wrong_answers": 0, "lost": 0}


def test_what_a_benchmark_printed_is_read_from_its_last_line() -> None:
    assert read(f"a table\n{json.dumps(GOOD)}\n") == Measurement(rate=1000, cpu=2.5)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "no result"),
        ("a table\n", "no result"),
        ("[1]\n", "no result"),
        (json.dumps({"inquiries_per_second": 1}), "no result"),
        (json.dumps(GOOD | {"inquiries_per_second": 0}), "measured nothing"),
        (json.dumps(GOOD | {"wrong_answers": 1}), "wrong_answers: 1"),
        (json.dumps(GOOD | {"lost": 2}), "lost: 2"),
        (json.dumps(GOOD | {"asked_twice": 3}), "asked_twice: 3"),
        (json.dumps(GOOD | {"unanswered": 4}), "unanswered: 4"),
    ],
)
def test_no_result_and_wrong_answers_are_failures(output: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        read(output)


def test_a_comparison_has_medians_and_ratios_of_pairs() -> None:
    old = [Measurement(100, 1.0), Measurement(50, 2.0), Measurement(200, 1.0)]
    new = [Measurement(90, 1.5), Measurement(50, 2.0), Measurement(100, 2.0)]
    result = compare(list(zip(old, new, strict=True)), 0.03)
    assert (result.rates, result.cpu) == ((100, 90), (1.0, 2.0))
    assert (list(result.rate_ratios), list(result.cpu_ratios)) == ([0.9, 1.0, 0.5], [1.5, 1.0, 2.0])
    assert (result.rate.median, result.cpu_per_inquiry.median) == (0.9, 1.5)
    assert result.verdict == Verdict(slower=True, certain=False)


def test_a_pair_counts_when_both_sides_were_measured() -> None:
    measurements = Measurements()
    measurements.add("hits", 1, Side.B, Measurement(4, 4))
    measurements.add("hits", 1, Side.A, Measurement(3, 3))
    measurements.add("hits", 0, Side.A, Measurement(1, 1))
    measurements.add("hits", 0, Side.B, Measurement(2, 2))
    measurements.add("hits", 2, Side.A, Measurement(5, 5))
    measurements.add("misses", 2, Side.B, Measurement(6, 6))
    assert [(old.rate, new.rate) for old, new in measurements.pairs("hits")] == [(1, 2), (3, 4)]
    assert measurements.pairs("misses") == []


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(slower=False, certain=True), "within 3 %"),
        (Verdict(slower=False, certain=False), "within 3 %, uncertain"),
        (Verdict(slower=True, certain=True), "slower by more than 3 %"),
    ],
)
def test_a_verdict_in_words(verdict: Verdict, text: str) -> None:
    assert in_words(verdict, 0.03) == text


FAKE = """
import json, os, pathlib, sys
settings = json.loads((pathlib.Path(__file__).parent / "settings.json").read_text())
with open(os.environ["RUNS"], "a") as runs:
    print(json.dumps([settings["name"], os.environ["PYTHONPATH"] == os.getcwd(), sys.argv[1:]]), file=runs)
if settings.get("signals"):
    try:
        pathlib.Path(os.environ["STARTED"]).touch()
        import threading
        threading.Event().wait()
    finally:
        with open(os.environ["RUNS"], "a") as runs:
            print('"stopped its servers"', file=runs)
if settings.get("fails"):
    sys.exit("it broke")
print("a table")
print(json.dumps({"broker_cpu_us_per_inquiry": 2.0, **settings["result"]}))
"""


class Repository:
    """A git repository with a commit for each version of a fake benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.temporary = folder / "tmp"
        self.runs_file = folder / "runs"
        self.started = folder / "started"
        self.temporary.mkdir()
        package = self.folder / "benchmarks"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        for name in ("hits", "misses"):
            (package / f"{name}.py").write_text(FAKE, encoding="utf-8")
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout  # noqa: S603

    def write(self, name: str, rate: int = 1000, **settings: object) -> None:
        """Changes the working tree to a version of this name."""
        content = {"name": name, "result": {"inquiries_per_second": rate, "wrong_answers": 0}, **settings}
        (self.folder / "benchmarks" / "settings.json").write_text(json.dumps(content), encoding="utf-8")

    def commit(self, name: str, rate: int = 1000, **settings: object) -> None:
        """Adds a version of this name, and a tag."""
        self.write(name, rate, **settings)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", name)
        self.git("tag", name)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "RUNS": str(self.runs_file),
            "STARTED": str(self.started),
        }
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "benchmarks.compare", *arguments],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def compare(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def runs(self) -> list[Any]:
        """Each run of a benchmark: name of the version, whether its path was set, arguments."""
        lines = self.runs_file.read_text(encoding="utf-8").splitlines() if self.runs_file.exists() else []
        return [json.loads(line) for line in lines]

    def is_clean(self) -> bool:
        """Whether no worktree and no temporary file is left."""
        return len(self.git("worktree", "list").splitlines()) == 1 and not list(self.temporary.iterdir())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit("old", 1000)
    return made


def test_commits_are_run_in_turns_and_compared(repository: Repository) -> None:
    repository.commit("new", 980)
    arguments = (
        "old",
        "new",
        "--pairs",
        "2",
        "--benchmark",
        "hits",
        "--benchmark",
        "misses-protobuf",
        "--",
        "--x",
        "1",
    )
    code, output, errors = repository.compare(*arguments)
    assert code == 0, errors
    misses, hits = ["--dialect", "protobuf", "--x", "1"], ["--x", "1"]
    assert repository.runs() == [
        ["old", True, hits], ["new", True, hits], ["old", True, misses], ["new", True, misses],
        ["new", True, hits], ["old", True, hits], ["new", True, misses], ["old", True, misses],
    ]  # fmt: skip
    result = json.loads(output.splitlines()[-1])
    assert result["old"]["commit"] == repository.git("rev-parse", "--short", "old").strip()
    assert result["results"].keys() == {"hits", "misses-protobuf"}
    assert result["results"]["hits"]["rate_ratios"] == [0.98, 0.98]
    assert result["results"]["hits"]["verdict"] == {"slower": False, "certain": False}
    assert repository.is_clean()


def test_a_slower_version_is_reported_by_the_exit_code(repository: Repository) -> None:
    repository.commit("new", 960)
    assert repository.compare("old", "new", "--pairs", "1", "--benchmark", "hits")[0] == 1
    assert repository.compare("old", "new", "--pairs", "1", "--benchmark", "hits", "--tolerance", "5%")[0] == 0
    assert repository.is_clean()


def test_a_folder_is_used_as_it_is_with_its_changes(repository: Repository) -> None:
    repository.write("changed", 500)
    code, output, _ = repository.compare("old", ".", "--pairs", "1", "--benchmark", "hits")
    assert code == 1
    assert [name for name, *_ in repository.runs()] == ["old", "changed"]
    assert json.loads(output.splitlines()[-1])["new"]["commit"].endswith("-dirty")
    assert repository.is_clean()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("old", "nothing"), "neither a folder nor a commit"),
        (("old", ".git"), "has no benchmarks"),
        (("old", "old", "--tolerance", "much"), "not a percentage"),
    ],
)
def test_wrong_usage(repository: Repository, arguments: tuple[str, ...], reason: str) -> None:
    code, _, errors = repository.compare(*arguments)
    assert (code, reason in errors) == (2, True), errors
    assert repository.runs() == []
    assert repository.is_clean()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"fails": True}, "it broke"), ({"result": {"inquiries_per_second": 1, "wrong_answers": 7}}, "wrong_answers: 7")],
    ids=["failed", "wrong"],
)
def test_a_failure_ends_the_comparison_and_what_was_measured_is_shown(
    repository: Repository, settings: dict[str, Any], reason: str
) -> None:
    repository.commit("new", **settings)
    code, output, errors = repository.compare("old", "new", "--pairs", "2", "--benchmark", "hits")
    assert (code, reason in errors) == (3, True), errors
    assert [name for name, *_ in repository.runs()] == ["old", "new"]
    result = json.loads(output.splitlines()[-1])
    assert (reason in result["failure"], result["results"]) == (True, {})
    assert repository.is_clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_comparison_stops_its_benchmark_and_cleans_up(
    repository: Repository, number: signal.Signals
) -> None:
    repository.commit("new", signals=True)
    process = repository.start("old", "new", "--pairs", "1", "--benchmark", "hits")
    while not repository.started.exists():  # the benchmark of the new version has not begun
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=60)[1].endswith("interrupted\n")
    assert process.returncode == 130
    assert [one if isinstance(one, str) else one[0] for one in repository.runs()] == [
        "old",
        "new",
        "stopped its servers",
    ]
    assert repository.is_clean()
