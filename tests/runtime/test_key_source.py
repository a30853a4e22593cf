"""Where the cache's keys come from: a file, which is made once, for its owner alone; the environment; a command."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from broker.config import StoreConfig
from broker.errors import StoreError
from broker.runtime.app import open_store
from broker.runtime.key_ring import KeyRing
from broker.runtime.key_source import find_key_fault, load_key_ring
from broker.store.memory import MemoryStore


def load_key(path: Path) -> bytes:
    """The only key in a file."""
    (key,) = load_key_ring(str(path)).secrets
    return key


def test_a_missing_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "deep" / "broker.key"
    key = load_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.parse(path.read_text()).secrets == (key,)


def test_the_same_key_is_read_again(tmp_path: Path) -> None:
    assert load_key(tmp_path / "broker.key") == load_key(tmp_path / "broker.key")


def test_every_key_made_is_another(tmp_path: Path) -> None:
    assert len({load_key(tmp_path / f"{number}.key") for number in range(20)}) == 20


def test_workers_that_start_together_make_one_key(tmp_path: Path) -> None:
    for number in range(30):
        path, start = tmp_path / f"{number}.key", Barrier(4)

        def make(path: Path = path, start: Barrier = start) -> bytes:
            start.wait()
            return load_key(path)

        with ThreadPoolExecutor(4) as pool:
            keys = {future.result() for future in [pool.submit(make) for _ in range(4)]}
        assert keys == {load_key(path)}
    assert len(list(tmp_path.iterdir())) == 30, "nothing else is left behind"


@pytest.mark.parametrize("text", ["00" * 32, "AB" * 32 + "\n", "  " + "0f" * 32 + " \n\n"])
def test_a_key_of_the_operators_own_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broker.key"
    path.touch(mode=0o600)
    path.write_text(text)
    assert load_key(path) == bytes.fromhex(text.strip())


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"00" * 31, b"00" * 33, b"0" * 63, b"no hexadecimal digits, but a secret", b"\xff\xfe" * 32],
    ids=["empty", "blank", "short", "long", "odd", "words", "binary"],
)
def test_what_is_no_key_is_refused_by_file_and_reason_but_never_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broker.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(StoreError) as refusal:
        load_key(path)
    message = str(refusal.value)
    assert "store.key_file" in message
    assert str(path) in message
    assert any(number in message for number in ("32", "64"))
    assert "secret" not in message
    assert path.read_bytes() == content


@pytest.mark.parametrize("below", ["", "broker.key"], ids=["a folder", "below a file"])
def test_what_cannot_be_read_or_made_is_refused(tmp_path: Path, below: str) -> None:
    path = tmp_path if not below else tmp_path / "file" / below
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StoreError, match=r"store\.key_file"):
        load_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o677, 0o610])
def test_a_key_that_others_may_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "broker.key"
    key = load_key(path)
    path.chmod(mode)
    with pytest.raises(StoreError, match=rf"store\.key_file .*mode {mode:o}.*chmod 600 {path}"):
        load_key(path)
    assert "chmod 600" in (find_key_fault(str(path)) or "")
    path.chmod(0o400)
    assert load_key(path) == key


def test_a_check_finds_what_is_wrong_with_a_key_and_makes_none(tmp_path: Path) -> None:
    assert find_key_fault(str(tmp_path / "broker.key")) is None
    assert list(tmp_path.iterdir()) == []
    load_key(tmp_path / "broker.key")
    assert find_key_fault(str(tmp_path / "broker.key")) is None
    assert "is not a file" in (find_key_fault(str(tmp_path)) or "")
    (tmp_path / "broker.key").write_text("00")
    assert "64 hexadecimal digits" in (find_key_fault(str(tmp_path / "broker.key")) or "")


def test_without_a_path_everything_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(StoreConfig(path=""), (bytes(32),))
    assert isinstance(store, MemoryStore)
    store.close()
    assert not list(tmp_path.iterdir())


# --- other sources ----------------------------------------------------------------------------------------------------

RING = f"index {'0a' * 32}\nnew {'0b' * 32}\nold {'0c' * 32}\n"


def test_keys_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_KEYS", RING)
    assert load_key_ring("env:BROKER_KEYS") == KeyRing.parse(RING)
    assert find_key_fault("env:BROKER_KEYS") is None
    monkeypatch.delenv("BROKER_KEYS")
    with pytest.raises(StoreError, match=r"store\.key_file env:BROKER_KEYS: .*is not set"):
        load_key_ring("env:BROKER_KEYS")
    assert "is not set" in (find_key_fault("env:BROKER_KEYS") or "")


def test_keys_may_come_from_a_command_which_a_check_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "ring").write_text(RING)
    (tmp_path / "ask").write_text('#!/bin/sh\ntouch "$0.has-run"\necho a secret >&2\ncat "$1"\n')
    (tmp_path / "ask").chmod(0o700)
    source = f"command:{tmp_path}/ask '{tmp_path}/ring'"
    assert find_key_fault(source) is None
    assert not (tmp_path / "ask.has-run").exists()
    assert load_key_ring(source) == KeyRing.parse(RING)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "no such program"),
        ("no-such-program", "no such program"),
        ("sh 'unfinished", "a quote without an end"),
        ("sh -c 'echo a secret; echo a secret >&2; exit 7'", "exit code 7"),
        ("sh -c 'echo a secret'", "line 1 does not consist of"),
        ("sh -c 'kill -9 $$'", "exit code -9"),
        ("yes a-secret", "more than 65536 bytes"),
        ("true", "holds no key"),
        ("printf '\\377secret'", "line 1 does not consist of"),
        ("sh -c 'exec sleep 1000'", "did not end within 0.2 s"),
        ("sh -c 'exec sleep 1000 >&-'", "did not end within 0.2 s"),
    ],
)
def test_a_command_that_gives_no_keys_is_refused_and_nothing_of_what_it_says_is_shown(
    command: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError) as refusal:
        load_key_ring(f"command:{command}", timeout=0.2 if "sleep" in command else 60.0)
    assert reason in str(refusal.value)
    assert "secret" not in str(refusal.value).replace(command, "")
    assert refusal.value.__cause__ is None
    assert capfd.readouterr() == ("", "")
