"""The commands of docs/audit.md run as pasted, on logs that are there."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli import main
from broker.config import DEFAULT
from tests.audit.logs import SIGNER
from tests.audit.verification.written import SUBJECTS, write_log

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("broker ")
    for block in TEXT.split("```sh\n")[1:]
    for line in block.partition("```")[0].splitlines()
    if line.startswith("broker ")
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the commands take for granted, in the working directory."""
    writer = write_log(tmp_path / "var" / "audit" / "worker-0", origin="broker.localhost/audit/worker-0", requests=4)
    (tmp_path / "var" / "audit.key").touch(0o600)
    (tmp_path / "var" / "audit.key").write_text(
        f"signing {bytes(range(32)).hex()}\nsealing {bytes(range(32, 64)).hex()}\n"
    )
    (tmp_path / "verifier-key").write_text(f"{SIGNER.key}\n")
    (tmp_path / "receipt.tlog-proof").write_text(writer.recorded[3].proof)
    shutil.copytree(tmp_path / "var" / "audit", tmp_path / "copy")
    shutil.copy(tmp_path / "var" / "audit" / "worker-0" / "checkpoint", tmp_path / "checkpoint-kept")
    (tmp_path / "subject.txt").write_text("\n".join(SUBJECTS[1][1:]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_one_after_the_other(folder: Path) -> None:
    assert len(COMMANDS) == 9
    for command in COMMANDS:
        line, _, path = command.partition(" < ")
        text = (folder / path).read_text() if path else None
        result = CliRunner().invoke(main, line.split(), input=text)
        assert result.exit_code == 0, (command, result.output)


def test_what_it_says_of_the_configuration_is_so() -> None:
    shipped = DEFAULT.read_text(encoding="utf-8")
    assert 'origin = "broker.localhost/audit"' in shipped
    assert 'path = "var/audit"' in shipped
