"""`broker investigate`: its outputs, exit codes, and going on after an interruption."""

import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli import main
from broker.client import Report
from broker.formats.tables import COLUMNS, Shown, columns_for, console, reports_table
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.conftest import Broker

MANDATE = ("--court", "京0101", "--officer", "张", "--case", "（2026）京0101执1号", "--document", "通知书1号")
Lines = Sequence[dict[str, str]]


def investigate(address: str, *arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(main, ["investigate", "--broker", address, *arguments], catch_exceptions=False)


def debtors(folder: Path, people: Lines, note: str = "") -> str:
    path = folder / "debtors.csv"
    header = "序号,证件类型,证件号码,姓名" + (",备注" if note else "")
    rows = [",".join([*line.values(), *([note] if note else [])]) for line in people]
    path.write_text("\n".join([header, *rows]), encoding="gb18030")
    return str(path)


def test_csv_with_the_columns_of_the_lookups(broker: Broker, people: Lines, tmp_path: Path) -> None:
    result = investigate(broker.address, *MANDATE, "--format", "csv", debtors(tmp_path, people, note="=1+1"))
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["ref"] for row in rows} == {line["ref"] for line in people}
    assert {row["number"] for row in rows} == {line["number"] for line in people}
    assert {row["备注"] for row in rows} == {"'=1+1"}  # no spreadsheet calculates it
    assert {row["outcome"] for row in rows} == {"FOUND", "NOT_FOUND"}


def test_a_file_of_output_is_its_owners_alone(broker: Broker, people: Lines, tmp_path: Path) -> None:
    for name in ("reports.csv", "reports.jsonl"):
        result = investigate(broker.address, *MANDATE, "--output", str(tmp_path / name), debtors(tmp_path, people))
        assert result.exit_code == 0
        assert "20 lookups, 100 inquiries" in result.stdout
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    reports = (tmp_path / "reports.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(reports) == len(people) + 1
    with (tmp_path / "reports.csv").open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.reader(file))[:3] == ["ref", "number", "name"]


def test_only_what_was_found(broker: Broker, people: Lines, tmp_path: Path) -> None:
    result = investigate(broker.address, *MANDATE, "--json", "--only", "found", debtors(tmp_path, people))
    *reports, totals = map(json.loads, result.stdout.splitlines())
    outcomes = {answer["outcome"] for report in reports for answer in report["answers"]}
    assert outcomes == {"OUTCOME_FOUND"}
    assert totals["totals"]["inquiries"] == 100


def test_an_interrupted_run_goes_on_where_it_stopped(broker: Broker, people: Lines, tmp_path: Path) -> None:
    output = tmp_path / "reports.jsonl"
    command = ["--output", str(output), "--resume", debtors(tmp_path, people)]
    assert investigate(broker.address, *MANDATE, *command).exit_code == 0
    whole = output.read_text(encoding="utf-8").splitlines(keepends=True)
    incomplete = json.loads(whole[3]) | {"complete": False}
    output.write_text("".join(whole[:3]) + json.dumps(incomplete) + "\n" + whole[4][:40], encoding="utf-8")
    result = investigate(broker.address, *MANDATE, *command)
    assert result.exit_code == 0
    assert f"{len(people) - 3} lookups" in result.stdout
    again = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert sorted(one.get("position", 0) for one in again[:-1]) == list(range(len(people)))
    assert {one.get("position", 0): one["ref"] for one in again[:-1]} == {
        number: line["ref"] for number, line in enumerate(people)
    }
    assert investigate(broker.address, *MANDATE, *command).exit_code == 0  # nothing is left to ask


def test_at_the_time_limit_everything_open_is_reported(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("type,number\n" + "".join(f"PASSPORT,E{10_000_000 + n}\n" for n in range(30_000)), encoding="utf-8")
    result = investigate(broker.address, *MANDATE, "--timeout", "0.05", "--json", str(path))
    assert result.exit_code == 5
    *reports, totals = map(json.loads, result.stdout.splitlines())
    assert sorted(report.get("position", 0) for report in reports if report.get("final")) == list(range(30_000))
    assert totals["totals"]["outcomes"]["TIMED_OUT"] > 0
    assert "raise the time limit" in result.stderr


def test_the_mandate_may_come_from_a_profile_or_the_environment(broker: Broker, people: Lines, tmp_path: Path) -> None:
    profile = tmp_path / "court.toml"
    profile.write_text(f'broker = "{broker.address}"\ncourt = "京0101"\nofficer = "张"\n', encoding="utf-8-sig")
    environment = {"BROKER_CASE": "（2026）京0101执1号", "BROKER_DOCUMENT": "通知书1号", "BROKER_PROFILE": str(profile)}
    result = CliRunner(env=environment).invoke(main, ["investigate", debtors(tmp_path, people)])
    assert result.exit_code == 0, result.output
    profile.write_text("cuort = 1\n", encoding="utf-8")
    result = CliRunner(env=environment).invoke(main, ["investigate", debtors(tmp_path, people)])
    assert result.exit_code == 2
    assert "cuort" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "reports.txt", "x.csv"],
        ["--output", "./x.csv", "x.csv"],
        ["--output", "reports.csv", "--format", "json", "x.csv"],
        ["--resume", "x.csv"],
        ["--resume", "--output", "reports.csv", "x.csv"],
        ["--resume", "--output", "reports.jsonl", "--incremental", "x.csv"],
        ["--columns", "ref,colour", "x.csv"],
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("type,number\nPASSPORT,E12345678\n", encoding="utf-8")
    assert investigate("127.0.0.1:1", *MANDATE, *arguments).exit_code == 2


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("type,number\nPASSPORT,E12345678\n", encoding="utf-8")
    arguments = ["--output", str(tmp_path / "nowhere" / "r.csv"), str(tmp_path / "x.csv")]
    result = investigate("127.0.0.1:1", *MANDATE, *arguments)
    assert result.exit_code == 2
    assert "--output" in result.output


def test_a_reader_that_stops_reading_ends_the_run(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("type,number\n" + "".join(f"PASSPORT,E{10_000_000 + n}\n" for n in range(20_000)), encoding="utf-8")
    command = [sys.executable, "-m", "broker", "investigate", "--broker", broker.address, *MANDATE, "--json", str(path)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - our own
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.readline()
    program.stdout.close()
    errors = program.stderr.read()
    program.stderr.close()
    assert (program.wait(60), errors) == (141, b"")


@pytest.mark.parametrize("arguments", [["investigate"], ["investigate", "--format", "csv"], ["institutions"]])
def test_an_encoding_that_lacks_a_character_is_no_reason_to_fail(
    arguments: list[str], broker: Broker, people: Lines, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "broker", *arguments, "--broker", broker.address]
    command += [*MANDATE, debtors(tmp_path, people)] if arguments[0] == "investigate" else []
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603 - our own
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"\\u" in ended.stdout


@pytest.mark.parametrize("arguments", [["investigate"], ["investigate", "--json"], ["institutions"], ["config"]])
def test_a_full_disk_is_told(arguments: list[str], broker: Broker, people: Lines, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "broker", *arguments]
    command += [*MANDATE, debtors(tmp_path, people)] if arguments[0] == "investigate" else []
    environment = os.environ | {"BROKER_ADDRESS": broker.address}
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)  # noqa: S603
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: the output cannot be written: No space left")
    assert b"Traceback" not in ended.stderr


def test_an_interruption_says_what_is_open(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("type,number\n" + "".join(f"PASSPORT,E{10_000_000 + n}\n" for n in range(60_000)), encoding="utf-8")
    command = [sys.executable, "-m", "broker", "investigate", "--broker", broker.address, *MANDATE, "--json", str(path)]
    # A shell ignores SIGINT in what it runs in the background, and so would the program: a handler is not inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - our own
    signal.signal(signal.SIGINT, before)
    assert program.stdout is not None
    program.stdout.readline()
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 130
    assert b"lookups have no report" in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_number_is_never_broken(width: int) -> None:
    report = Report(ref="lookup-000017", final=True)
    answer = report.answers.add(institution_id="mock-real-estate", outcome="OUTCOME_FOUND", source=pb.SOURCE_CACHE)
    unit = "110101001001GB00001F00010001"
    answer.assets.add().account.account_number = unit
    screen = console()
    screen.width = width
    with screen.capture() as captured:
        screen.print(reports_table([Shown(report, "11010519491231002X", "张三")], columns_for(width)))
    text = captured.get()
    assert unit in text
    assert "lookup-000017" in text
    assert ("11010519491231002X" in text) == ("number" in columns_for(width))


def test_a_wide_terminal_shows_all_columns() -> None:
    assert columns_for(200) == COLUMNS
    assert set(columns_for(80)) == {"ref", "institution", "outcome", "what"}


def test_a_folder_for_receipts_that_cannot_be_made_is_told_before_anything_is_asked(
    people: Lines, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = investigate(
        "127.0.0.1:1",
        *MANDATE,
        "--timeout",
        "1",
        "--receipts",
        str(tmp_path / "file" / "receipts"),
        debtors(tmp_path, people),
    )
    assert result.exit_code == 2
    assert "--receipts: cannot be made" in result.output


def test_receipts_are_kept_and_prove_what_was_recorded(broker: Broker, people: Lines, tmp_path: Path) -> None:
    folder = tmp_path / "receipts"
    result = investigate(broker.address, *MANDATE, "--receipts", str(folder), debtors(tmp_path, people))
    assert result.exit_code == 0
    (receipt,) = folder.iterdir()
    worker = receipt.name.removesuffix(".tlog-proof").rpartition("-")[0].rpartition("_")[2]
    key = broker.folder / "audit" / worker / "verifier-key"
    checked = CliRunner().invoke(main, ["audit", "prove", "--check", str(receipt), "--key", str(key)])
    assert checked.exit_code == 0, checked.output
    text = receipt.read_text(encoding="utf-8")
    receipt.write_text(text.replace("index ", "index 1"), encoding="utf-8")
    assert CliRunner().invoke(main, ["audit", "prove", "--check", str(receipt), "--key", str(key)]).exit_code != 0
