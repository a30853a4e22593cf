"""What an earlier run left in its output, and what is asked again."""

import json
import stat
from pathlib import Path

import pytest

from broker.cli.resume import ResumeError, take_up
from broker.client import SubjectType
from broker.formats.lookup_line import LookupLine


def line(position: int, *, final: bool = True, complete: bool = True) -> str:
    report = {"ref": f"r{position}", "position": position, "final": final, "complete": complete, "answers": [{}]}
    return json.dumps({key: value for key, value in report.items() if value}) + "\n"


def row(ref: str) -> LookupLine:
    return LookupLine(ref, SubjectType.PASSPORT, "E12345678", "n")


def test_without_an_output_nothing_is_done(tmp_path: Path) -> None:
    done = take_up(tmp_path / "out.jsonl", 3)
    assert done.count == 0
    assert not any(done.check(position, row(f"r{position}")) for position in range(3))


@pytest.mark.parametrize("end", ["", '{"totals": {"lookups": 2}}\n', line(3)[:-1], '{"ref": "r'])
def test_only_complete_reports_are_kept(tmp_path: Path, end: str) -> None:
    path = tmp_path / "out.jsonl"
    kept = [line(2), line(0)]
    path.write_text(kept[0] + line(1, complete=False) + kept[1] + line(3, final=False) + end, encoding="utf-8")
    done = take_up(path, 4)
    assert path.read_text(encoding="utf-8") == "".join(kept)
    assert [done.check(position, row(f"r{position}")) for position in range(4)] == [True, False, True, False]
    assert done.count == 2


def test_a_report_given_twice_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(line(1, complete=False) + line(1) + line(1), encoding="utf-8")
    assert take_up(path, 2).count == 1
    assert path.read_text(encoding="utf-8") == line(1)


@pytest.mark.parametrize("content", ["ref,type\n", line(9), "[]\n", '{"position": "x"}\n'])
def test_another_file_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResumeError):
        take_up(path, 4)
    assert path.read_text(encoding="utf-8") == content
    assert list(tmp_path.iterdir()) == [path]


def test_the_rewritten_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(line(1), encoding="utf-8")
    path.chmod(0o644)
    take_up(path, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lookup_that_was_invalid_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(line(0), encoding="utf-8")
    assert not take_up(path, 2).has_invalid
    path.write_text(line(0) + line(1).replace("[{}]", '[{"outcome": "OUTCOME_INVALID"}]'), encoding="utf-8")
    assert take_up(path, 2).has_invalid


def test_an_output_about_other_lookups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(line(1), encoding="utf-8")
    done = take_up(path, 4)
    with pytest.raises(ResumeError, match="another ref"):
        done.check(1, row("other"))
