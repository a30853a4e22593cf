"""The configuration and the command line."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mock_institutions.cli import main
from mock_institutions.config import ConfigError, load

DEFAULT_IDS = ["mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate", "mock-bank-jing"]


def test_the_default_configuration() -> None:
    config = load()
    assert [each.id for each in config.institutions] == DEFAULT_IDS
    assert [each.port for each in config.institutions] == [7101, 7102, 7103, 7104, 7105]
    assert config.find("mock-bank-jing").region == "京"


def test_more_banks_and_other_ports() -> None:
    config = load().with_banks(2)
    assert [(each.id, each.port) for each in config.institutions[5:]] == [
        ("mock-bank-001", 7106),
        ("mock-bank-002", 7107),
    ]
    assert config.institutions[5].kind == "bank"
    assert {each.port for each in config.with_ports_from(0).institutions} == {0}
    assert [each.port for each in config.with_ports_from(9000).institutions] == list(range(9000, 9007))


def test_national_institutions() -> None:
    config = load().with_national(40)
    assert [each.id for each in config.institutions[:5]] == [
        "mock-bank-0001",
        "mock-vehicle-0002",
        "mock-securities-0003",
        "mock-real-estate-0004",
        "mock-bank-0005",
    ]
    assert len(config.institutions) == 40
    assert {(each.port, each.region) for each in config.institutions} == {(7101, "")}
    assert config.institutions[5].hit_rate == load().find("mock-vehicle").hit_rate
    assert {each.port for each in config.with_ports_from(9000).institutions} == {9000}
    assert load().with_national(0) == load()


ONE = '[[institutions]]\nid = "a"\nkind = "bank"\n'


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "$", "institutions"),
        ("institutions = []", "$.institutions", "length"),
        (ONE + "prot = 1", "$.institutions[0]", "prot"),
        (ONE + "hit_rate = 2", "$.institutions[0].hit_rate", "<= 1"),
        (ONE + 'batch_size = "many"', "$.institutions[0].batch_size", "int"),
        (ONE.replace("bank", "bakery"), "$.institutions[0].kind", "bakery"),
        (ONE.replace('"a"', '"A b"'), "$.institutions[0].id", "matching"),
        (ONE + ONE, "$", "two institutions have the id a"),
        (ONE + "port = 80\n" + ONE.replace('"a"', '"b"') + "port = 80", "$", "two institutions have the port"),
        (ONE + "[institutions.faults]\nerror = 0.7\nhang = 0.7", "$.institutions[0].faults", "more than 1"),
        ("= 3", "not TOML", ""),
    ],
)
def test_a_wrong_configuration_names_file_key_and_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    path = tmp_path / "mock.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {key}")
    assert reason in message
    result = CliRunner().invoke(main, ["serve", "--config", str(path)])
    assert (result.exit_code, result.stderr) == (2, f"error: {message}\n")


def test_a_missing_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_population_prints_lookups() -> None:
    result = CliRunner().invoke(main, ["population", "--count", "30", "--seed", "3"])
    lines = result.stdout.splitlines()
    assert lines[0] == "ref,type,number,name"
    assert len(lines) == 31
    result = CliRunner().invoke(main, ["population", "--count", "5", "--mix", "properties", "--format", "jsonl"])
    lookups = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lookups) == 5
    assert {"ref", "type", "number", "name"} == set(lookups[0])


def test_answer_prints_what_must_be_answered() -> None:
    arguments = ["population", "--count", "1", "--mix", "properties", "--format", "jsonl"]
    for rng_seed in range(20):
        lookup = json.loads(CliRunner().invoke(main, [*arguments, "--rng-seed", str(rng_seed)]).stdout)
        if lookup["type"] == "VEHICLE_VIN":
            break
    asking = ["answer", "--institution", "mock-vehicle", "--type", lookup["type"], "--number", lookup["number"]]
    said = json.loads(CliRunner().invoke(main, asking).stdout)
    assert said["outcome"] == "FOUND"
    assert said["assets"][0]["vehicle"]["vin"] == lookup["number"]


def test_answer_knows_the_banks_that_serve_was_told_of() -> None:
    asking = ["answer", "--institution", "mock-bank-002", "--type", "PASSPORT", "--number", "E12345678", "--name", "X"]
    assert CliRunner().invoke(main, [*asking, "--banks", "1"]).exit_code == 2
    said = CliRunner().invoke(main, [*asking, "--banks", "2"])
    assert json.loads(said.stdout) == {"outcome": "NOT_FOUND"}


def test_answer_knows_the_national_institutions() -> None:
    asking = ["answer", "--national", "400", "--type", "PASSPORT", "--number", "E12345678", "--name", "X"]
    assert CliRunner().invoke(main, [*asking, "--institution", "mock-bank"]).exit_code == 2
    said = CliRunner().invoke(main, [*asking, "--institution", "mock-real-estate-0400"])
    assert json.loads(said.stdout) == {"outcome": "NOT_FOUND"}


def test_answer_of_an_unknown_institution() -> None:
    result = CliRunner().invoke(main, ["answer", "--institution", "x", "--type", "PASSPORT", "--number", "E1"])
    assert result.exit_code == 2
    assert "mock-real-estate" in result.stderr


async def _serve_and_stop(number: signal.Signals) -> tuple[bytes, bytes, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mock_institutions", "serve", "--port-base", "0", "--banks", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    ready = await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(number)
    rest, _ = await asyncio.wait_for(process.communicate(), 20)
    return ready, rest, process.returncode or 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_when_it_is_ready_and_stops_cleanly(number: signal.Signals) -> None:
    ready, rest, code = asyncio.run(_serve_and_stop(number))
    said = json.loads(ready)
    assert said["ready"] is True
    assert list(said["institutions"]) == [*DEFAULT_IDS, "mock-bank-001"]
    assert all(url.startswith("http://127.0.0.1:") for url in said["institutions"].values())
    assert (rest, code) == (b"", 0)


def test_serve_beyond_the_last_port() -> None:
    result = CliRunner().invoke(main, ["serve", "--port-base", "65535"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not enough ports" in result.stderr


def test_serve_on_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(main, ["serve", "--port-base", str(taken.getsockname()[1])])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot listen" in result.stderr
