"""The broker that `benchmarks.trust` measures has on what it says, and lets its own requests in."""

from pathlib import Path

from benchmarks import trusted_broker
from benchmarks.load_generator import OFFICER
from benchmarks.testbed import FOUR, _configuration, with_audit_log
from broker.access.policy_file import read_policy
from broker.access.quota import NO_QUOTAS
from broker.config import Config, load
from broker.institutions.dialects import DIALECTS

URLS = dict.fromkeys((*FOUR, "mock-bank-jing"), "http://127.0.0.1:1")


def loaded(folder: Path, text: str) -> Config:
    path = folder / "broker.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, dialects=frozenset(DIALECTS))


def test_everything_is_on_and_the_officer_has_a_quota(tmp_path: Path) -> None:
    text = _configuration(tmp_path, URLS, "json", FOUR)
    config = loaded(tmp_path, trusted_broker.configure(text, tmp_path, OFFICER))
    assert config.tls.is_on
    assert config.audit.path == str(tmp_path / "audit")
    (rule,) = read_policy(Path(config.access.policy).read_text(encoding="utf-8")).rules
    assert rule.quotas != NO_QUOTAS
    assert rule.allowed.officers is not None
    assert rule.allowed.officers.has(OFFICER)
    assert trusted_broker.credentials(tmp_path)


def test_otherwise_nothing_is_or_the_audit_log_alone(tmp_path: Path) -> None:
    text = _configuration(tmp_path, URLS, "json", FOUR)
    off, on = loaded(tmp_path, text), loaded(tmp_path, with_audit_log(text, tmp_path))
    assert not off.audit.path
    assert on.audit.path == str(tmp_path / "audit")
    assert not off.tls.is_on
    assert not on.tls.is_on
