"""`broker demo --write`: what it writes is what a broker and the mocks start with."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.access.identity import identity_of
from broker.access.policy import INVESTIGATE, Asked
from broker.access.policy_file import read_policy
from broker.certificate import read_chain
from broker.cli import demo as module
from broker.cli.demo import demo
from broker.cli.profile import read_profile
from broker.client import Credentials
from broker.config import draft
from broker.core.subjects.court import parse_court
from broker.institutions.dialects import DIALECTS
from broker.runtime.start_check import check_start
from mock_institutions.tls import server_context


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # each start of a container makes them anew
        ended = CliRunner().invoke(demo, ["--write", "demo"])
        assert ended.exit_code == 0, ended.output
    return tmp_path / "demo"


def test_the_broker_and_the_mocks_start_with_it() -> None:
    config, _ = check_start(draft(Path("demo/broker.toml"), dialects=frozenset(DIALECTS)), 1)
    assert config.tls.is_on
    assert config.audit.path
    for spec in config.institutions:
        assert spec.url.startswith("https://")
        assert spec.access.client_certificate == "demo/broker.pem"
        assert server_context(Path("demo"), spec.id)


@pytest.mark.parametrize("court", ["最高法", "京0101", "军01"])
def test_the_gateway_may_ask_for_every_court(folder: Path, court: str) -> None:
    profile = read_profile(folder / "profile.toml")
    assert profile.pop("address") == "127.0.0.1:50051"
    assert Credentials(**profile).channel_credentials()
    (certificate,) = read_chain(Path(profile["certificate"]).read_bytes())
    policy = read_policy((folder / "policy.toml").read_text(encoding="utf-8"))
    asked = Asked(method=INVESTIGATE, court=parse_court(court), officer="王法官", persons=True, properties=True)
    assert policy.decide(identity_of(certificate.uris, certificate.fingerprint), asked).allowed


def test_a_second_make_serve_leaves_the_files_of_the_first(tmp_path: Path) -> None:
    with module._serve_folder() as folder:
        (folder / "ca.pem").touch()
        refused = CliRunner().invoke(demo, ["--serve"])
        assert refused.exit_code == 1
        assert "already runs in this folder" in refused.output
        assert (tmp_path / folder / "ca.pem").exists()
    assert not folder.exists()
