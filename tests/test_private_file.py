"""Files with secrets."""

import os
import stat
from pathlib import Path

import pytest

from broker.private_file import PrivateFileError, make_private, read_private


def test_whoever_is_faster_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    make_private(path, b"first")
    make_private(path, b"second")
    assert read_private(path) == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o601])
def test_one_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.touch()
    path.chmod(mode)
    with pytest.raises(PrivateFileError, match="chmod 600"):
        read_private(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(PrivateFileError, match="is not a file"):
            read_private(path)
    with pytest.raises(PrivateFileError, match="No such file"):
        read_private(tmp_path / "missing")


def test_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PrivateFileError, match="cannot be made"):
        make_private(tmp_path / "file" / "key", b"")
