"""The files of a log on a real disk: durable, their owner's alone, and honest about a disk that is full."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.audit.files import DiskFiles
from broker.audit.log import AuditLog
from broker.errors import AuditError
from tests.audit.logs import KEYS, ORIGIN, SIGNER, admitted, run


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can be made larger, which a write then reports as it would a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_in_its_middle_ends_the_log(tmp_path: Path) -> None:
    log = AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0")
    journal = tmp_path / "journal" / "0000000000000000.journal"

    async def record() -> None:
        await log.append(admitted())
        with largest_file(journal.stat().st_size + 50), pytest.raises(AuditError, match="File too large"):
            await log.append(admitted())
        with pytest.raises(AuditError, match="File too large"):
            await log.append(admitted())

    run(record)
    log.close()
    again = AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0")
    assert run(lambda: again.append(admitted())).index == 3
    again.close()


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.replace([("a/b/c", b"old")])
    with largest_file(10), pytest.raises(OSError, match="File too large") as error:
        files.replace([("a/b/c", bytes(20))])
    assert error.value.errno == errno.EFBIG
    assert files.read("a/b/c") == b"old"
    files.close()


def test_files_are_appended_to_cut_and_deleted(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    for content in ([b"ab", b"c"], [b"def"]):
        file = files.append_to("journal/1")
        file.write(content)
        file.close()
    assert files.names("journal") == ["1"]
    files.truncate("journal/1", 4)
    assert files.read("journal/1") == b"abcd"
    files.delete("journal/1")
    files.delete("journal/1")
    assert files.read("journal/1") is None
    files.replace([("tile/x.p/1", b""), ("tile/x.p/2", b"")])
    files.delete("tile/x.p")
    files.delete("nowhere/at/all")
    assert files.names("tile") == files.names("nowhere") == []
    files.close()


def test_a_process_that_leaves_is_waited_for(tmp_path: Path) -> None:
    """A worker whose supervisor was killed finishes what is in flight, while another broker starts."""
    first, pauses = DiskFiles(tmp_path), list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            first.close()

    DiskFiles(tmp_path, patience=1.0, pause=pause).close()
    assert len(pauses) == 3
    first = DiskFiles(tmp_path)
    with pytest.raises(AuditError, match="another process writes it"):
        DiskFiles(tmp_path, patience=1.0, pause=lambda _: None)
    first.close()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AuditError, match="cannot be used"):
        DiskFiles(tmp_path / "file")


def test_a_log_in_a_folder_without_its_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text(SIGNER.sign(f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"))
    with pytest.raises(AuditError, match="all entries are missing"):
        AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0")
    AuditLog.open(tmp_path / "new", ORIGIN, KEYS, version="1.0").close()
