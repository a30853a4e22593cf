"""The demo runs, prints one line of totals, and fails if a result is wrong."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.client import SubjectType, lookup
from broker.demo.testbed import DemoFailedError, running
from broker.demo.verification import normalised, verify
from broker.v1 import investigation_pb2 as pb

LAST = re.compile(
    r"demo: (\d+) lookups, (\d+) inquiries, (\d+) answered, (\d+) from cache, (\d+) unavailable in \d+\.\d s"
)


def test_the_demo_ends_with_one_line_that_adds_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "broker", "demo", "--lookups", "400"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240, cwd=tmp_path)  # noqa: S603
    assert result.returncode == 0, result.stdout + result.stderr
    *_, last = result.stdout.splitlines()
    match = LAST.fullmatch(last)
    assert match
    assert result.stdout.count("demo: ") == 1
    lookups, inquiries, answered, cached, unavailable = map(int, match.groups())
    assert lookups > 2 * 400
    assert answered + unavailable == inquiries
    assert cached > inquiries / 3
    assert 0 < unavailable <= 200
    assert not list(tmp_path.iterdir())


def test_a_wrong_answer_fails_the_demo(things: Sequence[dict[str, str]]) -> None:
    thing = next(line for line in things if line["type"].startswith("VEHICLE"))
    asked = lookup("1", SubjectType[thing["type"]], thing["number"])
    answer = pb.Answer(institution_id="mock-vehicle", outcome="OUTCOME_NOT_FOUND", source="SOURCE_INSTITUTION")
    answer.observed_at.GetCurrentTime()
    with pytest.raises(DemoFailedError, match="mock-vehicle") as caught:
        asyncio.run(verify([asked], [pb.Report(answers=[answer])], seed=1))
    assert thing["number"] not in str(caught.value)


def test_a_program_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    async def start() -> None:
        async with running("no_such_module", log=tmp_path / "log"):
            pass

    with pytest.raises(DemoFailedError, match="No module named"):
        asyncio.run(start())


def test_both_kinds_of_json_are_normalised_to_one_form() -> None:
    contract = {"type": "MEASURE_TYPE_FREEZE", "on": {"year": 2026, "month": 1, "day": 31}, "area": {"value": "8.10"}}
    mock = {"type": "FREEZE", "on": "2026-01-31", "area": "8.10", "mortgaged": False, "share": "", "nanos": 0}
    assert normalised(contract) == normalised(mock)
    assert normalised({"units": "12"}) == normalised({"units": 12})
    assert normalised({"units": "12"}) != normalised({"units": 13})
