"""The folder of sockets: its broker's alone, and removed by the next one if its broker was killed."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from broker.runtime import socket_folder as module
from broker.runtime.socket_folder import socket_folder

KILLED = """
import os, socket
from broker.runtime.socket_folder import socket_folder
with socket_folder() as folder:
    socket.socket(socket.AF_UNIX).bind(str(folder / "worker-0"))
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, in this process and its children."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def test_it_is_made_for_its_owner_alone_and_removed_with_its_sockets(temporary: Path) -> None:
    with socket_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        bind(folder / "worker-0")
    assert list(temporary.iterdir()) == []


def test_one_that_a_killed_broker_left_is_removed(temporary: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, check=False, text=True)  # noqa: S603
    left = Path(killed.stdout.strip())
    assert list(temporary.iterdir()) == [left]
    assert list(left.iterdir()) == [left / "worker-0"]
    with socket_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_those_of_brokers_that_live_stay(temporary: Path) -> None:
    with socket_folder() as one, socket_folder() as other:
        bind(one / "worker-0")
        assert sorted(temporary.iterdir()) == sorted([one, other])
        assert (one / "worker-0").exists()


def test_what_is_not_a_folder_of_sockets_stays(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    bind(temporary / "elsewhere" / "socket")
    (temporary / f"{module._PREFIX}link").symlink_to(temporary / "elsewhere")
    (temporary / f"{module._PREFIX}file").write_text("a file")
    (temporary / f"{module._PREFIX}full").mkdir()
    (temporary / f"{module._PREFIX}full" / "document").write_text("a document")
    bind(temporary / f"{module._PREFIX}full" / "socket")
    (temporary / "broker-of-somebody").mkdir()
    before = sorted(temporary.rglob("*"))
    with socket_folder():
        pass
    assert sorted(temporary.rglob("*")) == before
    assert (temporary / "elsewhere" / "socket").exists()


def test_another_users_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = temporary / f"{module._PREFIX}left"
    left.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    with socket_folder():
        assert left.exists()
