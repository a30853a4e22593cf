"""A running worker's CPU time is told step by step."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.instrumented_worker import OTHERS, REST, STEPS
from benchmarks.worker_cpu import main


@pytest.mark.parametrize(
    ("path", "unit", "steps"),
    [("misses", "inquiry", {"encode questions", "decode replies", "put into the store"}), ("hits", "lookup", {"send"})],
)
def test_the_steps_of_a_path_are_timed(path: str, unit: str, steps: set[str]) -> None:
    done = CliRunner().invoke(main, ["--path", path, "--subjects", "200", "--batch", "50"], catch_exceptions=False)
    result = json.loads(done.output.splitlines()[-1])
    costs = result[f"us_per_{unit}"]
    assert costs.keys() >= {"read the store", "plan", REST, OTHERS} | steps
    assert costs.keys() <= {name for name, _, _ in STEPS} | {REST, OTHERS, "garbage collector"}
    assert all(costs[name] > 0 for name in steps)
