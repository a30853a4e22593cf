"""`broker keys` changes a key file a step at a time, and shows no key."""

import stat
from pathlib import Path

from click.testing import CliRunner, Result

from broker.cli.keys import keys
from broker.runtime.key_ring import KeyRing
from broker.runtime.key_source import load_key_ring


def run(*arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments)


def test_a_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "broker.key"
    (first,) = load_key_ring(str(path)).keys
    index = load_key_ring(str(path)).index
    path.chmod(0o400)
    for arguments in (("add", str(path), "--name", "next"), ("seal-with", str(path), "next"), ("list", str(path))):
        result = run(*arguments)
        assert result.exit_code == 0
        assert not any(secret.hex() in result.output for secret in load_key_ring(str(path)).secrets)
    assert run("list", str(path)).output == f"next  seals and opens\n{first.name}  opens\n"
    assert run("remove", str(path), first.name).exit_code == 0
    ring = KeyRing.parse(path.read_text())
    assert ring.names == ["next"]
    assert ring.index == index
    assert ring.secrets != (first.secret,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "broker.key"
    (first,) = load_key_ring(str(path)).keys
    before = path.read_bytes()
    for arguments in (
        ("remove", str(path), first.name),
        ("seal-with", str(path), "nothing"),
        ("add", str(path), "--name", first.name),
        ("list", str(tmp_path / "missing")),
        ("add", str(tmp_path / "missing")),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.output.startswith("error: ")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
