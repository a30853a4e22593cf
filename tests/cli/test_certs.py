"""`broker certs`: what it makes can be used, and nothing is overwritten or left readable."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from broker.access.identity import identity_of
from broker.certificate import read_chain
from broker.certs.authority import now_utc
from broker.cli.certs import certs
from broker.serving.revocation import read_revocations
from broker.serving.tls_files import read_material, read_revoked_files
from broker.tls_section import TlsConfig


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("init", "--host", "broker.example").exit_code == 0
    return tmp_path / "certs"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(certs, arguments)


def test_what_init_prints_is_a_configuration_that_can_be_used(folder: Path) -> None:
    config = TlsConfig(
        certificate=str(folder / "broker.pem"),
        key=str(folder / "broker-key.pem"),
        client_ca=str(folder / "ca.pem"),
        crl=[str(folder / "crl.pem")],
    )
    material = read_material(config, now_utc().timestamp())
    assert material.in_use[0].certificate.dns_names == ("localhost", "broker.example")
    assert not read_revoked_files(config).serials


def test_each_role_is_named(folder: Path) -> None:
    assert run("court", "京0101", "最高法", "--name", "gateway").exit_code == 0
    assert run("institution", "mock-bank", "--host", "bank.example").exit_code == 0
    assert run("operator", "../night shift").exit_code == 0
    found = {}
    for name in ("gateway", "institution-mock-bank", "operator-.._night_shift"):
        (certificate,) = read_chain((folder / f"{name}.pem").read_bytes())
        found[name] = identity_of(certificate.uris, "")
    assert found["gateway"].courts == {"京0101", "最高法"}
    assert found["institution-mock-bank"].institutions == {"mock-bank"}
    assert found["operator-.._night_shift"].operators == {"../night shift"}


def test_keys_are_their_owners_alone(folder: Path) -> None:
    run("court", "京0101")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {mode for name, mode in modes.items() if "key" in name} == {0o600}
    assert {name for name in modes if "key" in name} == {"ca-key.pem", "broker-key.pem", "court-京0101-key.pem"}


@pytest.mark.parametrize("command", [("init",), ("court", "京0101"), ("court", "京", "--name", "ca")])
def test_nothing_is_overwritten_unasked(folder: Path, command: tuple[str, ...]) -> None:
    run("court", "京0101")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    refused = run(*command)
    assert refused.exit_code == 2
    assert "would be overwritten" in refused.output
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert run(*command, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("court", "京01011"), "must be a court's code"),
        (("institution", "Mock Bank"), "an institution's id has"),
        (("operator", "a\nb"), "an operator's name has"),
        (("court", "京", "--in", "elsewhere"), "run: broker certs init elsewhere"),
        (("revoke", "certs/crl.pem"), "is no certificate of the authority"),
        (("revoke", "certs/none.pem"), "cannot be read"),
        (("show", "certs/crl.pem"), "has no certificates"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(command: tuple[str, ...], reason: str) -> None:
    refused = run(*command)
    assert refused.exit_code == 2
    assert reason in refused.output


def test_revocations_add_up(folder: Path) -> None:
    for code in ("京01", "京02"):
        run("court", code)
        assert run("revoke", f"certs/court-{code}.pem").exit_code == 0
    assert run("revoke").exit_code == 0, "signs it anew"
    authorities = x509.load_pem_x509_certificates((folder / "ca.pem").read_bytes())
    found = read_revocations({"crl": (folder / "crl.pem").read_bytes()}, "", authorities)
    for code in ("京01", "京02"):
        (certificate,) = read_chain((folder / f"court-{code}.pem").read_bytes())
        assert found.reason(certificate, now_utc().timestamp()) == "REVOKED"
    assert len(found.serials) == 2


def test_another_authority_revokes_nothing_here() -> None:
    run("init", "other")
    run("court", "京01", "--in", "other")
    assert run("revoke", "other/court-京01.pem").exit_code == 2


def test_what_the_broker_reads_is_shown(folder: Path) -> None:
    run("court", "京0101")
    (certificate,) = read_chain((folder / "court-京0101.pem").read_bytes())
    shown = run("show", "certs/court-京0101.pem").output
    assert "broker:court:京0101" in shown
    assert certificate.fingerprint in shown
    assert json.loads(run("show", "--json", "certs/court-京0101.pem").output)["uris"] == ["broker:court:京0101"]
