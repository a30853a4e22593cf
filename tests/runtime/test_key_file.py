"""The master key's file: made once, for its owner alone, and refused when it is no key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from broker.config import StoreConfig
from broker.errors import StoreError
from broker.runtime.app import open_store
from broker.runtime.key_file import find_key_fault, load_key
from broker.store.memory import MemoryStore


def test_a_missing_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "deep" / "broker.key"
    key = load_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes.fromhex(path.read_text()) == key


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
    assert "chmod 600" in (find_key_fault(path) or "")
    path.chmod(0o400)
    assert load_key(path) == key


def test_a_check_finds_what_is_wrong_with_a_key_and_makes_none(tmp_path: Path) -> None:
    assert find_key_fault(tmp_path / "broker.key") is None
    assert list(tmp_path.iterdir()) == []
    load_key(tmp_path / "broker.key")
    assert find_key_fault(tmp_path / "broker.key") is None
    assert "is not a file" in (find_key_fault(tmp_path) or "")
    (tmp_path / "broker.key").write_text("00")
    assert "holds 1 bytes" in (find_key_fault(tmp_path / "broker.key") or "")


def test_without_a_path_everything_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(StoreConfig(path=""), bytes(32))
    assert isinstance(store, MemoryStore)
    store.close()
    assert not list(tmp_path.iterdir())
