"""Folders in which others could read or replace the broker's data are refused, with the remedy."""

from pathlib import Path

import pytest

from broker.runtime.folder_check import find_data_folder_fault, find_folder_fault, find_socket_folder_fault


def folder(tmp_path: Path, mode: int) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o720, 0o750, 0o755, 0o777])
def test_the_cache_s_folder_is_its_owner_s_alone(tmp_path: Path, mode: int) -> None:
    path = folder(tmp_path, mode)
    assert find_data_folder_fault(path) == (
        f"others than its owner may use it (mode {mode:03o}); run: chmod 700 {path}"
    )
    path.chmod(0o700)
    assert find_data_folder_fault(path) is None


@pytest.mark.parametrize(("mode", "remedy"), [(0o755, None), (0o775, "chmod 755"), (0o702, "chmod 700")])
def test_an_audit_folder_may_be_read_by_whoever_publishes_it(tmp_path: Path, mode: int, remedy: str | None) -> None:
    fault = find_data_folder_fault(folder(tmp_path, mode), readable=True)
    assert fault is None if remedy is None else remedy in (fault or "")


def test_a_folder_to_come_is_made_with_the_right_mode(tmp_path: Path) -> None:
    assert find_data_folder_fault(folder(tmp_path, 0o755) / "new" / "cache") is None
    (tmp_path / "file").touch()
    assert "is no folder" in (find_folder_fault(tmp_path / "file" / "cache") or "")


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o700, False), (0o755, False), (0o1777, False), (0o777, True), (0o770, True)]
)
def test_sockets_do_not_lie_where_others_may_rename_them(tmp_path: Path, mode: int, refused: bool) -> None:
    assert ("chmod +t" in (find_socket_folder_fault(folder(tmp_path, mode)) or "")) == refused
