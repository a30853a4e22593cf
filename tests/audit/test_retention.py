"""Old entries are deleted, which an entry says before; what is kept can still be verified, and so can old proofs."""

from pathlib import Path

import pytest

from broker.audit.entry import Deleted
from broker.audit.files import DiskFiles
from broker.audit.log import AuditLog
from broker.audit.proving import check_receipt
from broker.audit.retention import Retention
from broker.audit.verification.expectations import LogKeys, read_expectations
from broker.audit.verification.faults import FaultKind
from broker.audit.verification.verify import VerificationReport, logs_in, verify
from broker.errors import AuditError
from tests.audit.logs import KEYS, NOW, ORIGIN, SIGNER, admitted, run
from tests.audit.verification.written import Writer, refusal

DAY = 86_400.0


def old_log(folder: Path) -> Writer:
    """A log with a commit of 100 entries on each of ten days, every one in a file of its own; written on the tenth."""
    writer = Writer(folder, max_file=1, step=DAY)
    writer.write(*[[refusal()] * 100 for _ in range(9)])
    return writer


def check(folder: Path, *against: Path) -> VerificationReport:
    return verify(logs_in([folder]), [SIGNER.key], read_expectations(list(against), LogKeys([SIGNER.key])), KEYS)


def names(folder: Path) -> list[int]:
    return [int(path.stem) for path in sorted((folder / "journal").iterdir())]


class Deletions:
    """Deletes what is too old in a folder. State: what was recorded, and whether the journal was to be continued."""

    def __init__(self, folder: Path, days: int, now: float) -> None:
        self.folder = folder
        self.recorded: list[Deleted] = []
        self.rotated = False
        self._days = days
        self._now = now

    def run(self, files: DiskFiles | None = None) -> int:
        own = files or DiskFiles(self.folder)
        try:
            return Retention(
                own, self._days, record=self._record, rotate=self._rotate, clock=lambda: self._now
            ).delete_old()
        finally:
            own.close()

    def _record(self, entry: Deleted) -> None:
        assert names(self.folder)[0] < entry.before, "nothing is deleted before it is recorded"
        self.recorded.append(entry)

    def _rotate(self) -> None:
        self.rotated = True


def recorded_in(folder: Path, deletions: Deletions) -> None:
    """Records what was recorded in the log itself."""
    Writer(folder, max_file=1 << 20, now=NOW + 20 * DAY).write([(each, ()) for each in deletions.recorded])


def test_what_is_too_old_is_deleted_file_by_file(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    (tmp_path / "receipt").write_text(writer.recorded[5].proof)
    deletions = Deletions(tmp_path, days=4, now=writer.now)
    assert deletions.run() == 401
    assert deletions.recorded == [Deleted(before=401, days=4)]
    assert names(tmp_path) == [401, 501, 601, 701, 801]
    recorded_in(tmp_path, deletions)
    assert sorted(path.name for path in (tmp_path / "tile" / "entries").iterdir() if path.is_file()) == ["001", "002"]
    assert check(tmp_path).faults == ()
    assert check(tmp_path, tmp_path / "receipt").faults == (), "hashes are kept"
    assert check_receipt(writer.recorded[5].proof, [SIGNER.key], writer.recorded[5].entry).entry_index == 5


def test_the_newest_file_is_kept_however_old_it_is(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    deletions = Deletions(tmp_path, days=1, now=writer.now + 100 * DAY)
    assert deletions.run() == 801
    assert deletions.rotated
    assert deletions.run() == 801
    assert len(deletions.recorded) == 1


def test_nothing_is_deleted_that_is_not_too_old(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    deletions = Deletions(tmp_path, days=10, now=writer.now)
    assert deletions.run() == 0
    assert deletions.recorded == []
    assert not deletions.rotated, "the newest file is of today"
    assert Deletions(tmp_path / "empty", days=1, now=0.0).run() == 0


def test_a_deletion_that_is_broken_off_is_finished_the_next_time(tmp_path: Path) -> None:
    class Failing(DiskFiles):
        """Deletes some files, and then the process ends."""

        left = 0

        def delete(self, path: str) -> None:
            if not self.left:
                raise OSError(5, "Input/output error")
            self.left -= 1
            super().delete(path)

    for count in range(8):
        folder = tmp_path / str(count)
        writer = old_log(folder)
        deletions = Deletions(folder, days=4, now=writer.now)
        files = Failing(folder)
        files.left = count
        if count < 6:  # a bundle and five journal files
            with pytest.raises(OSError, match="Input/output error"):
                deletions.run(files)
        else:
            deletions.run(files)
        assert deletions.run() == 401
        recorded_in(folder, deletions)
        assert names(folder)[0] == 401
        assert check(folder).faults == ()
        assert not (folder / "tile" / "entries" / "000").exists()


def test_a_deletion_without_its_entry_is_found(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    Deletions(tmp_path, days=4, now=writer.now).run()
    (fault,) = check(tmp_path).faults
    assert (fault.kind, fault.index) == (FaultKind.REMOVED, 0)


def test_hashes_of_deleted_entries_are_still_verified(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    deletions = Deletions(tmp_path, days=4, now=writer.now)
    deletions.run()
    recorded_in(tmp_path, deletions)
    tile = tmp_path / "tile" / "0" / "000"
    whole = tile.read_bytes()
    tile.write_bytes(whole[:32] + bytes(32) + whole[64:])
    assert check(tmp_path).faults[0].kind is FaultKind.CHANGED
    tile.unlink()
    assert check(tmp_path).faults[0].kind is FaultKind.REMOVED


def test_a_log_that_is_open_deletes_by_itself(tmp_path: Path) -> None:
    writer = old_log(tmp_path)
    log = AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0", clock=lambda: writer.now)
    log.keep_for(4, clock=lambda: writer.now)
    log.close()  # which waits for what is being deleted
    assert names(tmp_path)[0] == 401
    assert check(tmp_path).faults == ()
    again = AuditLog.open(tmp_path, ORIGIN, KEYS, version="1.0")
    assert run(lambda: again.append(admitted())).index == 904
    again.close()
    with pytest.raises(AuditError, match="closed"):
        again.record(admitted())
