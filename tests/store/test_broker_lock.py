"""One broker for each store: a second one is refused, even if the first has begun a new store meanwhile."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from broker.errors import StoreError
from broker.store.broker_lock import LOCK_FILE, broker_lock
from broker.store.folder import Folder

HOLDER = """
import sys
from pathlib import Path
from broker.store.broker_lock import broker_lock
with broker_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def refusal(path: Path) -> str:
    with pytest.raises(StoreError, match=f"store.path {path}: ") as error, broker_lock(path):
        pass
    return str(error.value)


def test_a_second_broker_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: S603
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert f"another broker uses it, process {holder.pid}; " in refusal(path)
        holder.kill()
        holder.wait()
        with broker_lock(path):
            pass


def test_it_ends_with_its_holder_and_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    for _ in range(2):
        with broker_lock(tmp_path / "cache"):
            assert str(os.getpid()) in refusal(tmp_path / "cache")
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / LOCK_FILE).stat().st_mode) == 0o600


def test_it_stays_while_the_store_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with broker_lock(path):
        for _ in range(2):
            folder = Folder(path)
            with folder.exclusive(patience=0):
                assert folder.set_aside("for a test")
            folder.close()
            assert "another broker uses it" in refusal(path)
    with broker_lock(path):
        pass


@pytest.mark.parametrize("below", ["", "cache"])
def test_what_is_no_folder_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a file")
    assert "has to be a folder" in refusal(tmp_path / "file" / below)
