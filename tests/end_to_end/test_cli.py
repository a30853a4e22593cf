"""The command line against a real broker and real mocks: output and exit codes."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from broker.cli import main
from broker.client import Report
from broker.formats.tables import Shown, asset_line, reports_table
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.conftest import Broker, Mocks, Program, StartBroker

COURT = "京0101"
NOBODY = "127.0.0.1:1"
MANDATE = ("--court", COURT, "--officer", "张", "--case", "（2026）京0101执1号", "--document", "通知书1号")
Lines = Sequence[dict[str, str]]


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)


def investigate(broker: Broker, *arguments: str, stdin: str | bytes | None = None) -> Result:
    return run("investigate", *MANDATE, "--broker", broker.address, *arguments, stdin=stdin)


def as_csv(lines: Lines) -> str:
    return "\n".join(["ref,type,number,name", *(",".join(line.values()) for line in lines)])


def as_json(lines: Lines) -> str:
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)


def printed(result: Result) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Reports and totals."""
    *reports, totals = map(json.loads, result.stdout.splitlines())
    return reports, totals["totals"]


def test_a_csv_file_becomes_a_table(broker: Broker, people: Lines, tmp_path: Path) -> None:
    file = tmp_path / "debtors.csv"
    file.write_text(as_csv(people), encoding="utf-8-sig")
    result = investigate(broker, str(file))
    assert result.exit_code == 0
    assert [line["ref"] in result.stdout for line in people]
    assert "20 lookups, 100 inquiries" in result.stdout
    assert "available" in result.stdout
    assert result.stderr == ""


def test_json_lines_from_standard_input_become_json_lines(broker: Broker, people: Lines) -> None:
    result = investigate(broker, "--json", "-", stdin=as_json(people))
    assert result.exit_code == 0
    reports, totals = printed(result)
    assert sorted(report["ref"] for report in reports) == sorted(line["ref"] for line in people)
    assert all(report["final"] and report["complete"] and len(report["answers"]) == 5 for report in reports)
    assert totals["lookups"] == 20
    assert totals["inquiries"] == sum(totals["outcomes"].values()) == sum(totals["sources"].values()) == 100
    assert totals["complete"] is True


def test_a_doubtful_account_is_asked_about_and_warned_about(broker: Broker) -> None:
    asked = ("--type", "BANK_ACCOUNT", "--number", "6214 8310 0000 0000")
    result = investigate(broker, *asked)
    assert result.exit_code == 0
    assert "warning" in result.stdout
    assert "BAD_CHECK_DIGIT: property.bank_account" in result.stdout
    assert "NOT_FOUND" in result.stdout
    (report,), _ = printed(investigate(broker, *asked, "--json"))
    assert [(one["reason"], one["field"]) for one in report["warnings"]] == [
        ("BAD_CHECK_DIGIT", "property.bank_account")
    ]


def test_incremental_reports_add_up_to_complete_ones(broker: Broker, people: Lines) -> None:
    whole, _ = printed(investigate(broker, "--json", "-", stdin=as_json(people)))
    parts, totals = printed(
        investigate(broker, "--json", "--incremental", "-", "--max-age", "0", stdin=as_json(people))
    )
    assert len(parts) > len(whole)
    assert sum(part.get("final", False) for part in parts) == len(people)
    assert {(part["ref"], one["institution_id"], one["outcome"]) for part in parts for one in part["answers"]} == {
        (report["ref"], one["institution_id"], one["outcome"]) for report in whole for one in report["answers"]
    }
    assert totals["sources"] == {"INSTITUTION": 100}


def test_incremental_requires_json(broker: Broker, people: Lines) -> None:
    result = investigate(broker, "--incremental", "-", stdin=as_json(people))
    assert result.exit_code == 2
    assert "--incremental requires --json" in result.output


def test_max_age_zero_uses_no_cached_answer_of_the_same_second(broker: Broker, people: Lines) -> None:
    for _ in range(3):
        _, totals = printed(investigate(broker, "--json", "--max-age", "0", "-", stdin=as_csv(people)))
        assert totals["sources"] == {"INSTITUTION": 100}


def test_a_single_property_lookup_shows_the_holders(broker: Broker, things: Lines) -> None:
    thing = next(line for line in things if line["type"].startswith("VEHICLE"))
    result = investigate(broker, "--type", thing["type"].lower().replace("_", "-"), "--number", thing["number"])
    assert result.exit_code == 0
    assert "held by" in result.stdout
    assert "1 lookup, 1 inquiry: 1 FOUND" in result.stdout


def test_institutions_and_kinds_can_be_selected(broker: Broker, people: Lines) -> None:
    by_kind, _ = printed(investigate(broker, "--json", "--kind", "bank", "-", stdin=as_json(people[:1])))
    assert [one["institution_id"] for one in by_kind[0]["answers"]] == ["mock-bank", "mock-bank-jing"]
    by_id, _ = printed(investigate(broker, "--json", "--institution", "mock-bank", "-", stdin=as_json(people[:1])))
    assert [one["institution_id"] for one in by_id[0]["answers"]] == ["mock-bank"]


def test_a_long_list_is_shown_in_part(broker: Broker, people: Lines) -> None:
    many = [{**line, "ref": f"{turn}-{line['ref']}"} for turn in range(6) for line in people]
    result = investigate(broker, "--kind", "bank", "-", stdin=as_csv(many))
    assert "20 more lookups are not shown" in result.stdout
    assert "120 lookups, 240 inquiries" in result.stdout


def test_an_invalid_lookup_is_reported_and_the_others_are_answered(broker: Broker, people: Lines) -> None:
    wrong = {"ref": "wrong", "type": "RESIDENT_ID", "number": "12", "name": "x"}
    result = investigate(broker, "-", stdin=as_csv([*people[:1], wrong]))
    assert result.exit_code == 1
    assert "person.document_number" in result.stdout
    assert "5 NOT_FOUND" in result.stdout or "FOUND" in result.stdout


def test_an_invalid_lookup_alone_is_not_complete(broker: Broker) -> None:
    result = investigate(broker, "--type", "RESIDENT_ID", "--number", "12", "--name", "x")
    assert result.exit_code == 1
    assert "1 INVALID" in result.stdout
    assert "INVALID" in run("investigate", "--help").stdout.partition("Exit codes")[2]


def test_a_failing_institution_makes_it_partial(start_broker: StartBroker, mocks: Mocks, people: Lines) -> None:
    with mocks.faults("mock-vehicle", down=True):
        result = investigate(start_broker(), "-", stdin=as_csv(people[:3]))
    assert result.exit_code == 1
    assert "3 UNAVAILABLE" in result.stdout
    assert "incomplete at mock-vehicle" in result.stdout


def test_a_hanging_institution_makes_it_partial_in_time(start_broker: StartBroker, mocks: Mocks, people: Lines) -> None:
    broker = start_broker(max_timeout=0.5)  # the client itself does not time out, however busy the machine is
    with mocks.faults("mock-bank", hang=1):
        result = investigate(broker, "--institution", "mock-bank", "--json", "-", stdin=as_csv(people[:3]))
    assert result.exit_code == 1
    reports, totals = printed(result)
    assert len(reports) == 3
    assert totals["outcomes"] == {"TIMED_OUT": 3}
    assert totals["unavailable_institution_ids"] == ["mock-bank"]


def test_a_refused_request(broker: Broker, people: Lines) -> None:
    other_court = ("--court", "沪01")
    result = investigate(broker, *other_court, "-", stdin=as_csv(people))
    assert result.exit_code == 3
    assert "mandate.case_number" in result.stderr
    assert result.stdout == ""


def test_a_case_from_before_2016_is_known_by_its_courts_sign(broker: Broker, people: Lines) -> None:
    court = ("--court", "皖0111")
    known = investigate(broker, *court, "--case", "(2015)瑶执字第02181号", "-", stdin=as_csv(people))
    assert known.exit_code == 0
    unknown = investigate(broker, *court, "--case", "(2015)朝执字第02181号", "-", stdin=as_csv(people))
    assert unknown.exit_code == 3
    assert "courts.signs" in unknown.stderr


def test_an_institution_out_of_reach_is_named(broker: Broker, people: Lines) -> None:
    outside = ("--court", "沪01", "--case", "（2026）沪01执1号", "--institution", "mock-bank-jing")
    result = investigate(broker, *outside, "-", stdin=as_csv(people))
    assert result.exit_code == 3
    assert "mock-bank-jing" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["investigate", *MANDATE, "--type", "VEHICLE_PLATE", "--number", "京A12345", "--timeout", "1"],
        ["institutions"],
        ["health"],
    ],
)
def test_an_unreachable_broker(command: list[str]) -> None:
    result = run(*command, "--broker", NOBODY)
    assert result.exit_code == 4
    assert "the broker is unavailable" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--type", "VEHICLE_PLATE"],
        ["--type", "SHIP", "--number", "1"],
        ["no-such-file"],
        ["--timeout", "0"],
        ["-", "--number", "1"],
    ],
)
def test_an_invalid_command_line(arguments: list[str]) -> None:
    assert run("investigate", *MANDATE, "--broker", NOBODY, *arguments).exit_code == 2


def test_institutions_by_court(broker: Broker) -> None:
    everywhere = run("institutions", "--broker", broker.address)
    assert everywhere.exit_code == 0
    assert "mock-bank-jing" in everywhere.stdout
    outside = run("institutions", "--broker", broker.address, "--court", "沪01", "--json")
    assert [json.loads(line)["id"] for line in outside.stdout.splitlines()] == [
        "mock-bank",
        "mock-real-estate",
        "mock-securities",
        "mock-vehicle",
    ]
    assert run("institutions", "--broker", broker.address, "--court", "nowhere").exit_code == 3


def test_health(broker: Broker) -> None:
    result = run("health", "--broker", broker.address)
    assert result.exit_code == 0
    assert "accepts requests" in result.stdout


def test_the_default_configuration_is_valid_as_printed(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(run("config").stdout, encoding="utf-8")
    result = run("config", "--check", str(file))
    assert result.exit_code == 0
    assert "5 institutions" in result.stdout


def test_an_invalid_configuration_is_reported_by_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text(run("config").stdout.replace("grace_period = 30.0", "grace_period = -1"), encoding="utf-8")
    for command in (["config", "--check"], ["serve", "--config"]):
        result = run(*command, str(file))
        assert result.exit_code == 2
        assert f"{file}: server" in result.stderr
        assert "grace_period" in result.stderr


def test_serve_takes_overrides_and_refuses_wrong_ones(tmp_path: Path) -> None:
    free = ("--metrics", "127.0.0.1:0", "--store", "")
    program = Program("broker", "serve", "--listen", "127.0.0.1:0", *free, folder=tmp_path)
    try:
        assert program.said["ready"] is True
        assert run("health", "--broker", program.said["grpc"]).exit_code == 0
        assert not (tmp_path / "var" / "cache").exists()
    finally:
        assert program.stop() == 0
    nowhere = run("serve", "--listen", "nowhere")
    assert (nowhere.exit_code, "command line: server.listen" in nowhere.stderr) == (2, True)


def test_a_port_in_use_is_reported(broker: Broker, tmp_path: Path) -> None:
    free = ["--metrics", "127.0.0.1:0", "--store", ""]
    command = [sys.executable, "-m", "broker", "serve", "--listen", broker.address, *free]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=240)  # noqa: S603
    assert result.returncode == 2
    assert "server.listen: cannot listen" in result.stderr


def test_every_command_has_help() -> None:
    assert "broker investigate --help" in run("--help").stdout
    for name in ("serve", "worker", "config", "investigate", "institutions", "health", "demo"):
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "\b" not in result.stdout
    assert "Exit codes" in run("investigate", "--help").stdout


def rendered(report: Report) -> str:
    screen = Console(file=io.StringIO(), width=160, record=True)
    screen.print(reports_table([Shown(report)]))
    return screen.export_text()


def test_text_of_institutions_is_not_interpreted() -> None:
    problem = pb.Answer(institution_id="bank", outcome="OUTCOME_REFUSED", source="SOURCE_INSTITUTION")
    problem.problem.message = "[red]no[/red]\x1b[2J"
    shown = rendered(pb.Report(ref="[bold]r[/bold]", answers=[problem]))
    assert "[red]no[/red]" in shown
    assert "[bold]r[/bold]" in shown
    assert "\x1b[2J" not in shown


def test_an_answer_says_under_which_name_the_subject_was_found() -> None:
    answer = pb.Answer(institution_id="bank", outcome="OUTCOME_FOUND", source="SOURCE_CACHE", found_as="甲乙（北京）厂")
    answer.assets.add().account.account_number = "62"
    assert "found as 甲乙（北京）厂" in rendered(pb.Report(ref="1", answers=[answer]))
    answer.found_as = ""
    assert "found as" not in rendered(pb.Report(ref="1", answers=[answer]))


def test_an_asset_of_every_kind_in_one_line() -> None:
    money = {"currency_code": "CNY", "units": 1234, "nanos": 500_000_000}
    account = asset_pb2.Account(category="savings", account_number="62", available_balance=money)
    freeze = asset_pb2.JudicialMeasure(type="MEASURE_TYPE_WAITING_FREEZE", authority="court", amount=money)
    holders = [asset_pb2.Holder(name="a", share="1/2"), asset_pb2.Holder(name="b", share="1/2")]
    assert asset_line(asset_pb2.Asset(account=account, measures=[freeze])) == (
        "savings 62: CNY 1,234.50 available; waiting freeze of CNY 1,234.50 by court"
    )
    vehicle = asset_pb2.Vehicle(plate="京A12345", model="m", mortgaged=True)
    assert (
        asset_line(asset_pb2.Asset(vehicle=vehicle, holders=holders)) == "京A12345 m, mortgaged; held by a 1/2, b 1/2"
    )
    holding = asset_pb2.SecuritiesHolding(quantity=1200, security_name="s", market_value=money)
    assert asset_line(asset_pb2.Asset(holding=holding)) == "1,200 × s: CNY 1,234.50"
    unit = asset_pb2.RealEstateUnit(location="here", area_square_metres={"value": "80.10"})
    assert asset_line(asset_pb2.Asset(real_estate_unit=unit), holders=True) == "here, 80.10 m²; held by "
    assert asset_line(asset_pb2.Asset()).startswith("an asset")
