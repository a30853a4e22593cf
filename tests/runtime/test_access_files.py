"""The files of [access], and the copies of what was accepted."""

import stat
from pathlib import Path

import pytest

from broker.access_section import AccessConfig
from broker.errors import ConfigError
from broker.runtime.access_files import AccessFiles, keep_accepted, read_access_files

POLICY = '[[rule]]\nname = "{}"\ncourts = ["*"]\n'
REGISTRY = '[[certificate]]\nnames = ["gateway.example"]\ncourts = ["京"]\n'


@pytest.fixture
def access(tmp_path: Path) -> AccessConfig:
    (tmp_path / "policy").write_text(POLICY.format("first"), encoding="utf-8")
    (tmp_path / "registry").write_text(REGISTRY, encoding="utf-8")
    return AccessConfig(
        policy=str(tmp_path / "policy"), registry=str(tmp_path / "registry"), quotas=str(tmp_path / "new" / "quotas")
    )


def rules(files: AccessFiles) -> list[str]:
    assert files.policy is not None
    return [rule.name for rule in files.policy.rules]


def test_what_was_accepted_stays_whatever_the_files_say_later(access: AccessConfig) -> None:
    kept = keep_accepted(access)
    Path(access.policy).write_text("nonsense", encoding="utf-8")
    Path(access.registry).unlink()
    assert rules(read_access_files(kept)) == ["first"]
    assert read_access_files(kept).registry.names["gateway.example"].courts == {"京"}
    with pytest.raises(ConfigError) as caught:
        keep_accepted(access)
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == ["access.policy", "access.registry"]
    assert rules(read_access_files(kept)) == ["first"]


def test_what_is_accepted_next_takes_its_place(access: AccessConfig) -> None:
    keep_accepted(access)
    Path(access.policy).write_text(POLICY.format("second"), encoding="utf-8")
    kept = keep_accepted(access)
    assert rules(read_access_files(kept)) == ["second"]
    for path in (kept.policy, kept.registry, access.quotas):
        assert stat.S_IMODE(Path(path).stat().st_mode) & 0o77 == 0


def test_without_a_policy_nothing_is_kept(access: AccessConfig) -> None:
    without = AccessConfig(registry=access.registry, quotas=access.quotas)
    assert keep_accepted(without) == without
    assert not Path(access.quotas).exists()


def test_a_folder_that_cannot_be_made_is_refused(access: AccessConfig) -> None:
    Path(access.quotas).parent.touch()
    with pytest.raises(ConfigError, match=r"access\.quotas: .* cannot be written to"):
        keep_accepted(access)
