"""`broker policy`: what it says of a policy, of a request, and of a key that it makes."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.access.policy_file import read_policy
from broker.access.signed_request import encoded_key
from broker.certs.authority import Authority, now_utc
from broker.cli.policy import policy

POLICY = """
[[rule]]
name = "banks"
courts = ["京*"]
kinds = ["bank"]
[[rule]]
name = "of the court"
courts = ["京0101"]
signature = "required"
quotas = {case = 100, court_per_day = 2000}
[[key]]
name = "key"
public_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
courts = ["京0101"]
"""
REQUEST = ("--court", "京0101", "--officer", "王法官")


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.toml").write_text(POLICY, encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(policy, arguments)


def explained(*arguments: str) -> dict[str, object]:
    result = run("explain", "policy.toml", "--json", *arguments)
    found: dict[str, object] = json.loads(result.output)
    assert result.exit_code == (0 if found["allowed"] else 3)
    return found


def test_a_valid_policy_is_counted() -> None:
    result = run("check", "policy.toml")
    assert (result.exit_code, result.output) == (0, "policy.toml: valid, 2 rules, 1 keys\n")


def test_all_faults_are_reported_at_once() -> None:
    Path("policy.toml").write_text('[[rule]]\nname = "one"\nkind = ["bank"]\nlevels = ["low"]\n')
    result = run("check", "policy.toml")
    assert result.exit_code == 2
    assert "policy.toml: rule 1 (one).kind: is no key" in result.output
    assert "policy.toml: rule 1 (one).levels: 'low' is none of basic" in result.output
    assert run("check", "missing.toml").exit_code == 2
    assert run("explain", "missing.toml", "--as", "court:京", *REQUEST).exit_code == 2


def test_an_allowed_request_is_explained() -> None:
    found = explained("--as", "court:京0101", *REQUEST)
    assert found["rule"] == "of the court"
    assert found["signature_required"] is True
    assert found["quotas"] == {"case": 100, "court_per_day": 2000}
    assert found["request"] == {
        "method": "Investigate",
        "court": "京0101",
        "officer": "王法官",
        "kinds": ["bank", "real_estate", "securities", "vehicle"],
        "regions": ["national", "京"],
        "lookups": ["person", "property"],
    }
    assert [rule["allows"] for rule in found["rules"]] == [False, True]  # type: ignore[attr-defined]
    text = run("explain", "policy.toml", "--as", "court:京0101", *REQUEST).output
    assert "allowed    by rule 'of the court'; signature: required; quotas: case 100, court_per_day 2000\n" in text
    assert "rules      'banks': kinds: institutions of kind REAL_ESTATE, SECURITIES, VEHICLE are not allowed" in text


def test_a_narrower_request_is_allowed_by_another_rule() -> None:
    assert explained("--as", "court:京0101", *REQUEST, "--kind", "bank", "--lookup", "person")["rule"] == "banks"


def test_a_refused_request_is_explained() -> None:
    found = explained("--as", "court:京01", "--as", "operator:me", *REQUEST)
    assert (found["rule"], found["field"]) == ("banks", "mandate.court_code")
    assert explained("--as", "court:沪", *REQUEST)["rule"] == ""
    result = run("explain", "policy.toml", "--as", "court:沪", *REQUEST)
    assert result.exit_code == 3
    assert "refused    no rule of the policy concerns the certificate of court 沪\n" in result.output


def test_a_certificate_and_the_registry_say_who_calls() -> None:
    authority, now = Authority.create("authority", now_utc()), now_utc()
    issued = authority.issue_server("broker", ["gateway.example"], now, timedelta(days=1))
    Path("gateway.pem").write_bytes(issued.certificate)
    Path("registry.toml").write_text('[[certificate]]\nnames = ["gateway.example"]\ncourts = ["京0101"]\n')
    assert explained("--certificate", "gateway.pem", "--registry", "registry.toml", *REQUEST)["allowed"] is True
    result = run("explain", "policy.toml", "--certificate", "gateway.pem", *REQUEST)
    assert result.exit_code == 3
    assert "names no court" in result.output
    assert run("explain", "policy.toml", "--certificate", "policy.toml", *REQUEST).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        REQUEST,
        ("--as", "court:京0101", "--certificate", "x.pem", *REQUEST),
        ("--as", "court:京1", *REQUEST),
        ("--as", "judge:me", *REQUEST),
        ("--as", "court:京0101"),
        ("--as", "court:京0101", "--court", "京1"),
        ("--as", "court:京0101", *REQUEST, "--region", "北京"),
        ("--as", "court:京0101", *REQUEST, "--kind", "bonds"),
    ],
)
def test_a_wrong_command_is_refused(arguments: tuple[str, ...]) -> None:
    assert run("explain", "policy.toml", *arguments).exit_code == 2


def test_methods_without_a_court_are_explained() -> None:
    found = explained("--as", "court:京0101", "--method", "ListInstitutions")
    assert (found["allowed"], found["rule"]) == (True, "banks")


def test_a_new_key_is_a_block_for_the_policy() -> None:
    arguments = ("--name", '王"法官', "--court", "京0101", "--court", "京0102", "--officer", "王法官")
    result = run("new-key", "officer.key", *arguments)
    assert result.exit_code == 0
    assert stat.S_IMODE(Path("officer.key").stat().st_mode) & 0o77 == 0
    (key,) = read_policy(f'[[rule]]\nname = "one"\ncourts = ["*"]\n{result.output}').keys.values()
    assert key.name == '王"法官'
    assert key.courts.single == {"京0101", "京0102"}
    assert key.officers is not None
    assert key.officers.single == {"王法官"}
    assert encoded_key(key.public) in result.output
    again = run("new-key", "officer.key", "--name", "a", "--court", "京0101")
    assert again.exit_code == 2
    assert "exists already" in again.output
