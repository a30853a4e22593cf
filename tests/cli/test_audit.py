"""The commands of `broker audit`: what they print, and with which exit code they end."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.audit.verification.faults import FaultKind
from broker.cli import main
from broker.cli.exits import Exit
from tests.audit.logs import ORIGIN, SIGNER
from tests.audit.verification.written import SUBJECTS, rewrite, write_log

NUMBER, NAME = SUBJECTS[1][1:]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two logs, their keys, and a subject."""
    folder = tmp_path_factory.mktemp("var")
    write_log(folder / "audit" / "worker-0")
    write_log(folder / "audit" / "worker-1", origin=ORIGIN.replace("0", "1"))
    (folder / "key").write_text(f"{SIGNER.key}\n")
    (folder / "audit.key").touch(0o600)
    (folder / "audit.key").write_text(f"signing {bytes(range(32)).hex()}\nsealing {bytes(range(32, 64)).hex()}\n")
    (folder / "subject").write_text(f"{NUMBER}\n李四\n{NAME}\n")
    return folder


@pytest.fixture
def var(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(written, tmp_path / "var"))


def run(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, arguments)], input=text)


def who_asked(var: Path, subject_type: str, *arguments: object, text: str | None = None) -> Result:
    return run(
        "who-asked", var / "audit", "--type", subject_type, "--key-file", var / "audit.key", *arguments, text=text
    )


def test_verify_says_that_nothing_is_wrong(var: Path) -> None:
    result = run("verify", var / "audit", "--key", var / "key", "--key-file", var / "audit.key")
    assert result.exit_code == 0, result.output
    assert f"{ORIGIN}: 48 entries, 20 requests admitted, 7 refused, 60 inquiries; 0 without an end; 0 faults" in (
        result.output
    )
    assert result.output.splitlines()[-1].startswith("120 inquiries verified in ")
    assert result.stderr == ""


def test_verify_warns_if_the_key_comes_from_beside_the_logs(var: Path) -> None:
    result = run("verify", var / "audit")
    assert result.exit_code == 0
    assert "Give the broker's public key with --key" in result.stderr


def test_verify_ends_with_json(var: Path) -> None:
    last = json.loads(run("verify", var / "audit", "--key", var / "key", "--json").stdout.splitlines()[-1])
    assert last["faults"] == 0
    assert last["inquiries"] == 120
    assert last["inquiries_per_second"] > 0
    assert [log["entries"] for log in last["logs"]] == [48, 48]


def test_verify_names_the_first_fault_and_ends_with_its_code(var: Path) -> None:
    journal = min((var / "audit" / "worker-1" / "journal").iterdir())
    rewrite(journal, lambda commits: commits.__delitem__(3))
    result = run("verify", var / "audit", "--key", var / "key", "--json")
    assert result.exit_code == Exit.AUDIT_REMOVED
    first, last = map(json.loads, result.stdout.splitlines())
    assert (first["fault"], first["log"], first["index"]) == ("removed", ORIGIN.replace("0", "1"), 4)
    assert (last["faults"], last["first_fault"]) == (1, first)
    text = run("verify", var / "audit", "--key", var / "key").stdout
    assert text.startswith(f"fault: {ORIGIN.replace('0', '1')}, entry 4: removed: ")


def test_verify_finds_a_fork_with_what_was_kept(var: Path) -> None:
    kept = var / "kept"
    kept.write_bytes((var / "audit" / "worker-0" / "checkpoint").read_bytes())
    shutil.rmtree(var / "audit" / "worker-0")
    write_log(var / "audit" / "worker-0", now=1_800_000_000.0)
    assert run("verify", var / "audit", "--key", var / "key").exit_code == 0
    result = run("verify", var / "audit", "--key", var / "key", "--against", kept)
    assert result.exit_code == Exit.AUDIT_FORKED


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "{var}"],
        ["verify", "{var}/audit", "--key", "{var}/subject"],
        ["verify", "{var}/audit", "--against", "{var}"],
    ],
)
def test_what_cannot_be_read_is_no_fault(var: Path, arguments: list[str]) -> None:
    assert run(*(each.format(var=var) for each in arguments)).exit_code == Exit.USAGE


def test_every_kind_of_fault_has_its_exit_code() -> None:
    codes = {Exit[f"AUDIT_{kind.name}"] for kind in FaultKind}
    assert len(codes) == len(FaultKind)
    told = run("verify", "--help").output
    assert all(f"{code:d}  {kind}" in told for kind in FaultKind for code in [Exit[f"AUDIT_{kind.name}"]])


@pytest.mark.parametrize("how", ["file", "input", "prompt"])
def test_who_asked_takes_the_subject_from_anywhere_but_arguments(var: Path, how: str) -> None:
    json_of = partial(who_asked, var, "RESIDENT_ID", "--json")
    text = (var / "subject").read_text()
    match how:
        case "file":
            result = json_of("--subject-file", var / "subject")
        case "input":
            result = json_of("--subject-file", "-", text=text)
        case _:
            result = json_of(text=f"{text}\n")
    assert result.exit_code == 0, result.output
    askings = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(askings) == 8
    assert [asking["time"] for asking in askings] == sorted(asking["time"] for asking in askings)
    assert askings[0]["institutions"] == {"bank": "FOUND", "registry": "FOUND"}
    assert NUMBER not in result.output.replace("number: " + NUMBER, "")


def test_who_asked_shows_a_table(var: Path) -> None:
    result = who_asked(var, "RESIDENT_ID", "--subject-file", var / "subject")
    assert "王法官" in result.output
    assert result.stdout.splitlines()[-1] == "8 requests were about this subject"


def test_a_subject_nobody_asked_about_is_no_error(var: Path) -> None:
    result = who_asked(var, "PASSPORT", "--subject-file", "-", text="E12345678\n张三\n")
    assert result.exit_code == 0
    assert result.stdout == "0 requests were about this subject\n"


def test_who_asked_needs_the_key(var: Path) -> None:
    (var / "audit.key").write_text(f"sealing {'00' * 32}\n")
    result = who_asked(var, "PASSPORT", "--subject-file", var / "subject")
    assert result.exit_code == Exit.USAGE
    assert "sealed under another key" in result.stderr


def test_a_proof_is_written_and_checked(var: Path) -> None:
    receipt = var / "17.tlog-proof"
    assert run("prove", var / "audit", "--log", ORIGIN, "--index", 17, "--output", receipt).exit_code == 0
    assert receipt.read_text() == run("prove", var / "audit" / "worker-0", "--index", 17).stdout
    result = run("prove", "--check", receipt, "--key", var / "key")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["type"] == "ended"
    assert f"entry 17 of {ORIGIN}" in result.stderr


def test_a_receipt_without_the_entry_is_checked_with_it(var: Path, tmp_path: Path) -> None:
    recorded = write_log(tmp_path / "log").recorded[5]
    (tmp_path / "receipt").write_text(recorded.proof)
    (tmp_path / "entry").write_bytes(recorded.entry + b"\n")
    check = ["prove", "--check", tmp_path / "receipt", "--key", var / "key"]
    assert run(*check, "--entry", tmp_path / "entry").exit_code == 0
    assert run(*check).exit_code == Exit.AUDIT_UNPROVEN


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["prove", "{var}/audit", "--index", "1"], Exit.USAGE),
        (["prove", "{var}/audit", "--index", "1", "--log", "unknown"], Exit.USAGE),
        (["prove", "{var}/audit"], Exit.USAGE),
        (["prove", "--check", "{var}/subject"], Exit.USAGE),
        (["prove", "--check", "{var}/subject", "--key", "{var}/key"], Exit.AUDIT_UNPROVEN),
        (["prove", "{var}/audit/worker-0", "--index", "48"], Exit.AUDIT_UNPROVEN),
    ],
)
def test_what_cannot_be_proven_is_refused(var: Path, arguments: list[str], code: Exit) -> None:
    assert run(*(each.format(var=var) for each in arguments)).exit_code == code


def test_export_prints_every_entry_and_only_with_the_key_what_is_sealed(var: Path) -> None:
    lines = [json.loads(line) for line in run("export", var / "audit").stdout.splitlines()]
    assert len(lines) == 96
    assert all(line.keys() == {"log", "index", "entry"} for line in lines)
    with_key = run("export", var / "audit" / "worker-0", "--key-file", var / "audit.key").stdout
    admitted, *_, ended = [json.loads(line) for line in with_key.splitlines()][1:4]
    assert admitted["sealed"]["institutions"] == ["bank", "registry"]
    assert len(admitted["sealed"]["commitments"][0]) == 32
    assert ended["sealed"]["answers"][0][:3] == [0, 0, "FOUND"]
    assert NUMBER not in with_key
