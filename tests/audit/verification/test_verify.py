"""Each way to tamper with a log is found, with entry and kind, and nothing is found in an honest one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.audit.frames import FrameKind, commit_frame, frame, head_frame, read_commits, read_head
from broker.audit.keys import AuditKeys
from broker.audit.material import decode_inquired
from broker.audit.tlog.note import NoteSigner
from broker.audit.verification.expectations import Expectations, LogKeys, read_expectations
from broker.audit.verification.faults import AuditFault, FaultKind
from broker.audit.verification.verify import VerificationReport, keys_beside, logs_in, verify
from broker.errors import AuditError
from broker.model import Outcome
from tests.audit.logs import KEYS, ORIGIN, SIGNER
from tests.audit.verification.written import (
    Frames,
    Writer,
    admission,
    commitments,
    ending,
    refusal,
    rewrite,
    write_log,
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that nobody touches."""
    folder = tmp_path_factory.mktemp("audit") / "worker-0"
    write_log(folder)
    assert len(list((folder / "journal").iterdir())) > 2
    return folder


@pytest.fixture
def log(honest: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(honest, tmp_path / "worker-0"))


def check(
    folder: Path, *against: Path, secrets: AuditKeys | None = None, keys: NoteSigner = SIGNER
) -> VerificationReport:
    logs = logs_in([folder])
    return verify(logs, [keys.key], read_expectations(list(against), LogKeys([keys.key])), secrets)


def first(folder: Path, *against: Path, secrets: AuditKeys | None = None) -> tuple[FaultKind, int | None]:
    fault = check(folder, *against, secrets=secrets).faults[0]
    assert fault.log == ORIGIN
    return fault.kind, fault.index


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "journal").iterdir())


def test_nothing_is_found_in_an_honest_log(log: Path) -> None:
    report = check(log.parent, log, log / "checkpoint", secrets=KEYS)
    assert report.faults == ()
    (one,) = report.logs
    assert (one.log, one.size, one.unfinished) == (ORIGIN, 48, 0)
    assert (one.counts.admitted, one.counts.refused, one.counts.unended) == (20, 7, 0)
    assert report.entries == 48
    assert report.inquiries == 60


def test_nothing_is_found_in_a_log_of_several_levels_and_starts(tmp_path: Path) -> None:
    writer = Writer(tmp_path, max_file=60_000)
    for _ in range(3):
        writer.write(*[[refusal()] * 150 for _ in range(4)])
    report = check(tmp_path)
    assert report.faults == ()
    assert report.entries == 1803


@pytest.mark.parametrize("number", [0, 1, -1])
def test_every_changed_byte_of_the_journal_is_found(log: Path, number: int) -> None:
    path = journals(log)[number]
    journal = path.read_bytes()
    for at in range(0, len(journal), 41):
        path.write_bytes(journal[:at] + bytes([journal[at] ^ 0x20]) + journal[at + 1 :])
        assert check(log).faults, at
    path.write_bytes(journal)
    assert not check(log).faults


def test_every_changed_byte_that_is_published_is_found(log: Path) -> None:
    for path in [*(path for path in (log / "tile").rglob("*") if path.is_file()), log / "checkpoint"]:
        content = path.read_bytes()
        for at in range(0, len(content), 67):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
            assert check(log).faults, (path, at)
        path.write_bytes(content)
    assert not check(log).faults


def entry_changed(commits: list[Frames]) -> None:
    kind, content = commits[2][-2]
    commits[2][-2] = kind, content.replace(b'"type"', b'"TYPE"')


def entry_removed(commits: list[Frames]) -> None:
    del commits[1][-2]


def commit_removed(commits: list[Frames]) -> None:
    del commits[3]


def commits_swapped(commits: list[Frames]) -> None:
    commits[1], commits[3] = commits[3], commits[1]


def entries_swapped(commits: list[Frames]) -> None:
    for one in commits:
        if [kind for kind, _ in one[-3:-1]] == [FrameKind.ENTRY, FrameKind.ENTRY]:
            one[-3], one[-2] = one[-2], one[-3]
            return


def entry_added(commits: list[Frames]) -> None:
    commits[3].insert(-1, (FrameKind.ENTRY, b'{"before":0,"days":1,"type":"deleted"}'))


def material_swapped(commits: list[Frames]) -> None:
    places = [(one, at) for one in commits for at, (kind, _) in enumerate(one) if kind is FrameKind.MATERIAL]
    (a, at), (b, to) = places[1], places[2]
    a[at], b[to] = b[to], a[at]


def material_removed(commits: list[Frames]) -> None:
    one = next(one for one in commits if one[0][0] is FrameKind.MATERIAL)
    del one[0]


@pytest.mark.parametrize(
    ("change", "kind", "index"),
    [
        (entry_changed, FaultKind.CHANGED, 3),
        (entry_removed, FaultKind.REMOVED, 2),
        (commit_removed, FaultKind.REMOVED, 4),
        (commits_swapped, FaultKind.REORDERED, 1),
        (entries_swapped, FaultKind.REORDERED, 1),
        (entry_added, FaultKind.ADDED, 5),
        (material_swapped, FaultKind.MATERIAL, 3),
        (material_removed, FaultKind.MATERIAL, 1),
    ],
)
@pytest.mark.parametrize("with_tiles", [True, False])
def test_a_journal_that_was_rewritten_is_found(
    log: Path, change: Callable[[list[Frames]], None], kind: FaultKind, index: int, *, with_tiles: bool
) -> None:
    rewrite(journals(log)[0], change)
    if with_tiles:
        assert first(log) == (kind, index)
    else:
        shutil.rmtree(log / "tile")
        assert check(log).faults


def test_a_checkpoint_within_the_journal_that_was_exchanged_is_found_by_a_thorough_look(log: Path) -> None:
    other = NoteSigner(ORIGIN, AuditKeys(bytes(32), bytes(32)).signing_key())

    def sign_anew(commits: list[Frames]) -> None:
        kind, content = commits[2][-1]
        commits[2][-1] = kind, other.sign(content.decode().partition("\n\n")[0] + "\n").encode()

    rewrite(journals(log)[1], sign_anew)
    assert not check(log).faults
    (fault,) = verify(logs_in([log]), [SIGNER.key], Expectations(), is_thorough=True).faults
    assert fault.kind is FaultKind.UNSIGNED
    assert fault.index is not None
    assert fault.index > int(journals(log)[1].stem)


def test_heads_of_journal_files_are_looked_at(log: Path) -> None:
    path = journals(log)[1]
    journal = path.read_bytes()
    found = read_head(journal)
    assert found is not None
    head, end = found
    edge = head.edge
    for changed in (
        replace(head, checkpoint=head.checkpoint.replace(ORIGIN, "other")),
        replace(head, edge=edge._replace(entries=(b"{}", *edge.entries[1:]))),
        replace(head, edge=edge._replace(levels=((bytes(32), *edge.levels[0][1:]), *edge.levels[1:]))),
        replace(head, edge=edge._replace(size=edge.size - 1, entries=edge.entries[1:], levels=(edge.levels[0][1:],))),
    ):
        new = head_frame(changed)
        path.write_bytes(new)
        with path.open("ab") as file:
            pieces: list[bytes] = []
            for one in read_commits(journal, end):
                start = len(new) + sum(map(len, pieces))
                for each in one.frames:
                    pieces += frame(each.kind, each.content, each.hash)
                pieces += commit_frame(start, one.checkpoint)
            file.writelines(pieces)
        assert first(log)[0] in {FaultKind.CHANGED, FaultKind.REMOVED}


def test_a_journal_file_that_is_missing_is_found(log: Path) -> None:
    _, second, third, *_ = journals(log)
    second.unlink()
    assert first(log) == (FaultKind.REMOVED, int(second.stem))
    shutil.rmtree(log / "journal")
    assert first(log) == (FaultKind.REMOVED, 0)
    assert third


def test_a_first_file_that_is_missing_without_an_entry_that_says_so_is_found(log: Path) -> None:
    journals(log)[0].unlink()
    assert first(log) == (FaultKind.REMOVED, 0)


def test_an_end_that_is_missing_is_found(log: Path) -> None:
    last = journals(log)[-1]
    journal = last.read_bytes()
    for size in (0, len(journal) - 1, len(journal) // 2):
        last.write_bytes(journal[:size])
        kind, _ = first(log)
        assert kind is FaultKind.TRUNCATED
    last.unlink()
    assert first(log) == (FaultKind.TRUNCATED, int(last.stem))


def test_what_a_crash_left_at_the_end_is_no_fault(log: Path) -> None:
    last = journals(log)[-1]
    last.write_bytes(last.read_bytes() + b"MATL torn")
    report = check(log)
    assert report.faults == ()
    assert report.logs[0].unfinished == 9


def test_tiles_that_are_missing_are_found(log: Path) -> None:
    (log / "tile" / "0" / "000.p" / "48").unlink()
    assert first(log) == (FaultKind.REMOVED, 0)


def test_a_checkpoint_that_is_missing_or_damaged_is_found(log: Path) -> None:
    (log / "checkpoint").write_text("no checkpoint")
    fault = check(log).faults[0]
    assert (fault.kind, fault.index) == (FaultKind.CHANGED, None)
    (log / "checkpoint").unlink()
    fault = check(log).faults[0]
    assert (fault.kind, fault.index) == (FaultKind.REMOVED, None)


def test_another_signature_is_found(log: Path) -> None:
    other = NoteSigner(ORIGIN, AuditKeys(bytes(32), bytes(32)).signing_key())
    report = verify(logs_in([log]), [other.key], Expectations())
    assert {fault.kind for fault in report.faults} == {FaultKind.UNSIGNED}


# Against what others kept. The owner of the key can write another log, in which nothing is wrong by itself.


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """A log of the same name and key with another history."""
    write_log(tmp_path / "forged" / "worker-0", requests=20, now=1_800_000_000.0)
    assert not check(tmp_path / "forged").faults
    return tmp_path / "forged" / "worker-0"


def test_a_fork_is_found_with_an_earlier_checkpoint(honest: Path, forged: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes((honest / "checkpoint").read_bytes())
    assert first(forged, tmp_path / "kept") == (FaultKind.FORKED, None)


def test_a_fork_is_found_with_another_copy(honest: Path, forged: Path) -> None:
    assert first(forged, honest) == (FaultKind.FORKED, 0)
    faults = verify(logs_in([honest, forged]), [SIGNER.key], Expectations()).faults
    assert [(fault.kind, fault.index) for fault in faults] == [(FaultKind.FORKED, 0)]


def test_a_fork_is_found_with_a_receipt(tmp_path: Path) -> None:
    writer = write_log(tmp_path / "one")
    receipt = tmp_path / "receipt.tlog-proof"
    receipt.write_text(writer.recorded[5].proof)
    assert not check(tmp_path / "one", receipt).faults
    write_log(tmp_path / "other", now=1_800_000_000.0)
    assert first(tmp_path / "other", receipt) == (FaultKind.FORKED, None)


def test_a_fork_is_found_with_one_of_a_folder_of_receipts(tmp_path: Path) -> None:
    writer = write_log(tmp_path / "one")
    write_log(tmp_path / "other", now=1_800_000_000.0)
    kept = tmp_path / "receipts"
    kept.mkdir()
    for recorded in writer.recorded[4:7]:
        (kept / f"{recorded.index}.tlog-proof").write_text(recorded.proof)
    assert not check(tmp_path / "one", kept).faults
    assert len([fault for fault in check(tmp_path / "other", kept).faults if fault.kind is FaultKind.FORKED]) == 3


def test_a_whole_log_that_is_missing_is_found_with_whatever_was_kept_of_it(log: Path, tmp_path: Path) -> None:
    other, receipt = tmp_path / "elsewhere" / "worker-1", tmp_path / "receipt.tlog-proof"
    receipt.write_text(write_log(other, origin="broker.example/audit/worker-1").recorded[5].proof)
    for kept in (receipt, other / "checkpoint", other):
        (fault,) = check(log, kept).faults
        assert (fault.log, fault.kind) == ("broker.example/audit/worker-1", FaultKind.REMOVED)
        assert str(kept) in fault.detail


def test_a_folder_without_logs_and_receipts_is_refused(log: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(AuditError, match=r"neither a log nor a receipt \(\.tlog-proof\)"):
        check(log, empty)


def test_an_older_copy_is_no_fork_and_a_newer_one_shows_what_is_missing(log: Path, tmp_path: Path) -> None:
    older = shutil.copytree(log, tmp_path / "older")
    Writer(log).write([refusal()])
    assert not check(log, older).faults
    assert not verify(logs_in([log, older]), [SIGNER.key], Expectations()).faults
    assert first(older, log) == (FaultKind.TRUNCATED, 48)
    (tmp_path / "kept").write_bytes((log / "checkpoint").read_bytes())
    assert first(older, tmp_path / "kept") == (FaultKind.TRUNCATED, 48)


def test_evidence_that_is_none_is_refused(log: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    other = NoteSigner(ORIGIN, AuditKeys(bytes(32), bytes(32)).signing_key())
    (tmp_path / "foreign").write_text(other.sign((log / "checkpoint").read_text().partition("\n\n")[0] + "\n"))
    (tmp_path / "empty").mkdir()
    for name in ("text", "foreign", "empty", "missing"):
        with pytest.raises(AuditError, match=name):
            check(log, tmp_path / name)


# What entries say.


def entries_of(folder: Path, *batches: object) -> list[AuditFault]:
    Writer(folder).write(*batches)  # type: ignore[arg-type]
    return list(check(folder, secrets=KEYS).faults)


def test_an_end_without_an_admission_is_found(tmp_path: Path) -> None:
    found = entries_of(tmp_path, [admission([1])], [ending(1, [Outcome.FOUND])], [ending(1, [Outcome.FOUND])])
    assert [(fault.kind, fault.index) for fault in found] == [(FaultKind.SEQUENCE, 3)]
    found = entries_of(tmp_path / "other", [ending(9, [Outcome.FOUND])])
    assert [(fault.kind, fault.index) for fault in found] == [(FaultKind.SEQUENCE, 1)]


def test_a_time_that_goes_back_is_found_unless_the_log_was_started_anew(tmp_path: Path) -> None:
    Writer(tmp_path).write([refusal()])
    Writer(tmp_path, now=1_700_000_000.0).write([refusal()])
    assert not check(tmp_path).faults
    ahead = Writer(tmp_path, now=1_900_000_000.0)
    ahead.step = -100.0
    ahead.write([refusal()], [refusal()])
    fault = check(tmp_path).faults[0]
    assert (fault.kind, fault.index) == (FaultKind.SEQUENCE, 5)


def test_a_request_without_an_end_is_counted_and_no_fault(tmp_path: Path) -> None:
    assert entries_of(tmp_path, [admission([1])]) == []
    assert check(tmp_path).logs[0].counts.unended == 1


def test_material_that_contradicts_its_entry_is_found_with_the_key(tmp_path: Path) -> None:
    asked, material = admission([1, 2])
    other = admission([1])[1]
    assert [fault.kind for fault in entries_of(tmp_path / "a", [(asked, other)])] == [FaultKind.MATERIAL]
    _, answers = ending(1, [Outcome.FOUND])
    claimed, _ = ending(1, [Outcome.NOT_FOUND])
    found = entries_of(tmp_path / "b", [(asked, material)], [(claimed, answers)])
    assert [(fault.kind, fault.index) for fault in found] == [(FaultKind.MATERIAL, 2)]
    assert not check(tmp_path / "b").faults, "without the key it cannot be seen"
    found = entries_of(tmp_path / "c", [admission([1])], [ending(1, [Outcome.FOUND] * 2)])
    assert [(fault.kind, fault.index) for fault in found] == [(FaultKind.MATERIAL, 2)]
    found = entries_of(tmp_path / "d", [(asked, [b"nothing"])])
    assert [fault.kind for fault in found] == [FaultKind.MATERIAL]


def test_material_under_another_key_is_found(log: Path) -> None:
    assert first(log, secrets=AuditKeys(None, bytes(32))) == (FaultKind.MATERIAL, 1)


def test_the_keys_in_the_folder_are_those_of_the_log(log: Path) -> None:
    assert keys_beside(logs_in([log])) == [SIGNER.key]
    (log / "verifier-key").write_text("none")
    with pytest.raises(AuditError, match="--key"):
        keys_beside(logs_in([log]))


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit log"):
        logs_in([tmp_path])


def test_no_subject_is_in_any_file(log: Path) -> None:
    for path in log.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"110101" not in content
            assert "张".encode() not in content
            assert commitments([1]) not in content
    assert decode_inquired(b"".join(admission([1])[1])).positions(commitments([1])) == [0]
