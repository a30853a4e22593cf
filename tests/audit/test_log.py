"""The log that is written: what is recorded, that all who wait share commits, and how it ends."""

import asyncio
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from broker.audit.entry import Admitted, Started, decode_entry
from broker.audit.keys import load_keys
from broker.audit.log import VERIFIER_KEY, AuditLog, LogLimits
from broker.audit.sequencer import Recorded
from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.note import parse_verifier_key
from broker.audit.tlog.proof import parse_proof
from broker.errors import AuditError
from tests.audit.logs import NOW, ORIGIN, SIGNER, MemoryFiles, admitted, opened, reopen, run

NUMBER = "110101199003074514"


def test_an_entry_is_recorded_with_its_proof() -> None:
    files = MemoryFiles()

    async def record() -> list[Recorded]:
        return [await log.append(admitted(number)) for number in range(5)]

    with opened(files) as log:
        recorded = run(record)
    assert [each.index for each in recorded] == [1, 2, 3, 4, 5]  # 0 says that the log was started
    for number, each in enumerate(recorded):
        proof = parse_proof(each.proof)
        assert proof.index == each.index
        assert proof.includes(leaf_hash(each.entry))
        assert SIGNER.key.verifies(proof.note)
        entry = decode_entry(each.entry)
        assert isinstance(entry, Admitted)
        assert entry.case_number == admitted(number).case_number
        assert entry.time == NOW * 1000


def test_all_who_wait_share_a_commit() -> None:
    async def record() -> None:
        await asyncio.gather(*(log.append(admitted(number), proof=False) for number in range(50)))

    with opened(MemoryFiles()) as log:
        run(record)
        assert log.statistics.entries == 50
        assert log.statistics.commits < 10  # all 50 are in the queue before the first commit has ended, or nearly all


def test_a_proof_is_made_only_if_it_is_wanted() -> None:
    async def record() -> Recorded:
        return await log.append(admitted(), proof=False)

    with opened(MemoryFiles()) as log:
        assert run(record).proof == ""


def test_what_looks_like_a_number_is_nowhere_in_the_files() -> None:
    files = MemoryFiles()

    async def record() -> None:
        await log.append(Admitted(method="Investigate", officer=NUMBER, request_id=NUMBER), [b"content"])

    with opened(files) as log:
        run(record)
    assert not [path for path, content in files.content.items() if NUMBER.encode() in content]


def test_the_log_goes_on_where_it_ended() -> None:
    files = MemoryFiles()
    indexes = []

    async def record() -> None:
        indexes.append((await log.append(admitted())).index)

    for _ in range(3):
        with opened(files) as log:
            run(record)
    assert indexes == [1, 3, 5]


def test_the_journal_goes_on_in_a_new_file() -> None:
    files = MemoryFiles()

    async def record() -> None:
        for number in range(300):
            await log.append(admitted(number), [bytes(10)], proof=False)

    for _ in range(2):
        with opened(files, LogLimits(journal_file=20_000)) as log:
            run(record)
    names = files.names("journal")
    assert len(names) > 10
    assert all(len(files.content[f"journal/{name}"]) < 20_000 + 300 * 1024 for name in names)


def test_a_full_disk_ends_the_recording_for_good() -> None:
    files = MemoryFiles()

    async def record() -> None:
        await log.append(admitted())
        files.room = 100
        with pytest.raises(AuditError, match="No space left"):
            await log.append(admitted())
        files.room = 1 << 60
        with pytest.raises(AuditError, match="No space left"):
            await log.append(admitted())
        assert not log.statistics.healthy

    with opened(files) as log:
        run(record)
    with opened(files) as log:
        assert run(lambda: log.append(admitted())).index == 3


def test_tiles_that_cannot_be_published_end_the_recording_too() -> None:
    files = MemoryFiles()

    async def record() -> None:
        files.publishable = False
        while log.statistics.healthy:
            await log.append(admitted())
        await log.append(admitted())

    with opened(files, LogLimits(publish_interval=0.001)) as log, pytest.raises(AuditError, match="Input/output error"):
        run(record)


def test_whoever_gives_up_harms_nobody() -> None:
    async def record() -> int:
        left = [asyncio.ensure_future(log.append(admitted())) for _ in range(10)]
        await asyncio.sleep(0)
        for task in left:
            task.cancel()
        return (await log.append(admitted())).index

    with opened(MemoryFiles()) as log:
        assert run(record) == 11


def test_nothing_is_recorded_after_the_end() -> None:
    with opened(MemoryFiles()) as log:
        pass
    log.close()

    async def record() -> None:
        with pytest.raises(AuditError, match="closed"):
            await log.append(admitted())

    run(record)


def test_an_entry_that_is_too_large_harms_itself_alone() -> None:
    async def record() -> None:
        with pytest.raises(ValueError, match="too large"):
            await log.append(Started(version="x" * 70_000))
        await log.append(admitted())

    with opened(MemoryFiles()) as log:
        run(record)


def test_a_log_is_kept_on_disk(tmp_path: Path) -> None:
    keys = load_keys(tmp_path / "audit.key", make=True)
    folder = tmp_path / "audit" / "worker-0"
    for _ in range(2):
        log = AuditLog.open(folder, ORIGIN, keys, version="1.0")
        with pytest.raises(AuditError, match="another process"):
            AuditLog.open(folder, ORIGIN, keys, version="1.0")
        run(partial(log.append, admitted()))
        log.close()
    assert parse_verifier_key((folder / VERIFIER_KEY).read_text()).name == ORIGIN
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_time_is_the_logs_own() -> None:
    times = count(5)

    async def record() -> list[int]:
        return [decode_entry((await log.append(admitted())).entry).time for _ in range(3)]

    log = reopen(MemoryFiles(), clock=lambda: next(times))
    try:
        assert run(record) == [6000, 7000, 8000]
    finally:
        log.close()
