"""Where the command line finds the broker and its certificates: options, environment, profiles, and `make serve`."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from broker.certs.folder import CertificateFolder
from broker.cli.connection import LOCAL_PROFILE, Connection, connection_options
from broker.cli.profile import connection_profile_option
from broker.client import Credentials

PROFILE = 'broker = "broker.example:1"\nca = "ca.pem"\ncertificate = "court-京.pem"\nkey = "court-京-key.pem"\n'


@click.command()
@connection_profile_option
@connection_options
def command(connection: Connection) -> None:
    seen.append(connection)


seen: list[Connection] = []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = CertificateFolder.create(Path("certs"), hosts=["localhost"], lifetime=timedelta(days=1))
    made.issue("court", ["京"], lifetime=timedelta(days=1))
    return tmp_path


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment)


def found(*arguments: str, **environment: str) -> Connection:
    seen.clear()
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return seen[0]


def files(folder: str) -> dict[str, Any]:
    return {"ca": f"{folder}/ca.pem", "certificate": f"{folder}/court-京.pem", "key": f"{folder}/court-京-key.pem"}


def write_profile(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROFILE.replace('"c', '"certs/c') if path.parent == Path() else PROFILE)


def serve_here() -> None:
    """What `make serve` leaves in the working directory."""
    LOCAL_PROFILE.parent.mkdir(parents=True)
    for file in Path("certs").iterdir():
        (LOCAL_PROFILE.parent / file.name).write_bytes(file.read_bytes())
    write_profile(LOCAL_PROFILE)


def options(given: dict[str, str]) -> Sequence[str]:
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def test_without_anything_it_is_plain_text_on_this_host() -> None:
    assert found() == Connection("127.0.0.1:50051", None)


def test_options_and_environment() -> None:
    expected = Connection("a.example:1", Credentials(**files("certs")))
    given = {"broker": "a.example:1", **files("certs")}
    assert found(*options(given)) == expected
    environment = {"BROKER_ADDRESS": "a.example:1"} | {
        f"BROKER_{name.upper()}": value for name, value in files("certs").items()
    }
    assert found(**environment) == expected


def test_files_of_a_profile_are_in_its_folder() -> None:
    write_profile(Path("certs/profile.toml"))
    expected = Connection("broker.example:1", Credentials(**files("certs")))
    assert found("--profile", "certs/profile.toml") == expected
    assert found(BROKER_PROFILE="certs/profile.toml") == expected
    assert found("--profile", "certs/profile.toml", "--broker", "b.example:2").address == "b.example:2"


def test_the_broker_of_make_serve_is_found_unless_another_is_named() -> None:
    serve_here()
    assert found() == Connection("broker.example:1", Credentials(**files("var/serve")))
    assert found("--broker", "127.0.0.1:50051") == Connection("127.0.0.1:50051", None)
    assert found(BROKER_ADDRESS="127.0.0.1:50051") == Connection("127.0.0.1:50051", None)
    assert found("--ca", "certs/ca.pem") == Connection("127.0.0.1:50051", Credentials(ca="certs/ca.pem"))


def test_a_profile_that_others_could_have_written_is_not_used() -> None:
    serve_here()
    LOCAL_PROFILE.chmod(0o666)
    assert found() == Connection("127.0.0.1:50051", None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"certificate": "certs/court-京.pem"}, "both, or neither"),
        ({**files("certs"), "key": "certs/ca-key.pem"}, "cannot be used as a certificate"),
        ({**files("certs"), "ca": "certs/ca-key.pem"}, "cannot be used as certificates"),
        ({**files("certs"), "ca": "none.pem"}, "cannot be read"),
    ],
)
def test_certificates_that_cannot_be_used_are_a_mistake_of_usage(given: dict[str, str], reason: str) -> None:
    refused = run(*options(given))
    assert refused.exit_code == 2
    assert reason in refused.output
