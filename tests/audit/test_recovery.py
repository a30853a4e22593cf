"""What a crash leaves: at any byte, the log opens with exactly what was acknowledged, and goes on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit.entry import Deleted, Started, decode_entry
from broker.audit.files import Appending
from broker.audit.frames import FrameKind
from broker.audit.journal import Journal
from broker.audit.log import LogLimits, commit
from broker.audit.publication import CHECKPOINT, publish
from broker.audit.recovery import recover
from broker.audit.replay import Replay
from broker.audit.sequencer import Sequencer, Unrecorded
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.note import NoteSigner
from broker.errors import AuditError
from tests.audit.logs import KEYS, ORIGIN, SIGNER, MemoryFiles, admitted, opened, run

COMMITS = (1, 2, 1)
"""Entries of each commit of a session."""
SMALL_FILES = 1
"""Bytes; every journal file gets one commit."""


@dataclass(slots=True)
class RecordedFiles(MemoryFiles):
    """Notes what is in the folder after each write, and within each."""

    states: list[dict[str, bytes]] = field(default_factory=list)

    def append_to(self, path: str) -> Appending:
        MemoryFiles.append_to(self, path)
        self._note()
        return _Recorded(self, path)

    def replace(self, resources: Iterable[tuple[str, bytes]]) -> None:
        for path, content in resources:
            self.content[path] = content
            self._note()

    def append(self, path: str, whole: bytes) -> None:
        before = self.content[path]
        for size in range(1, len(whole) + 1):
            self.content[path] = before + whole[:size]
            self._note()

    def _note(self) -> None:
        self.states.append(dict(self.content))


@dataclass(slots=True)
class _Recorded:
    files: RecordedFiles
    path: str

    def write(self, pieces: Sequence[bytes]) -> None:
        self.files.append(self.path, b"".join(pieces))

    def close(self) -> None:
        pass


def session(files: MemoryFiles, max_file: int, commits: Sequence[int] = COMMITS) -> Iterator[int]:
    """Continues the log in a folder, and yields its size after each commit."""
    recovered = recover(files, SIGNER.key)
    sequencer = Sequencer(recovered.head, SIGNER, KEYS.sealer(), lambda: 0.0)
    journal = Journal(files, path=recovered.path, size=recovered.end, max_file=max_file)
    for count in commits:
        batch = [Unrecorded(Deleted(before=number, days=1), (b"m",), proof=False) for number in range(count)]
        sealed = list(map(sequencer.seal, batch))
        commit(sequencer, journal, lambda unpublished: publish(files, unpublished), sealed)
        yield sequencer.edge().size


@cache
def recorded(max_file: int) -> tuple[list[dict[str, bytes]], list[int]]:
    """All states of a folder during a session, and how many entries were acknowledged in each."""
    files = RecordedFiles()
    acknowledged: list[int] = []
    size = 0
    for after in session(files, max_file):
        acknowledged += [size] * (len(files.states) - len(acknowledged))
        size = after
    return files.states, acknowledged


def entries(files: MemoryFiles) -> int:
    """How many entries the journal has, all of them checked."""
    size = 0
    for name in files.names("journal"):
        replay = Replay(files.content[f"journal/{name}"], SIGNER.key)
        assert replay.size == size
        for one, _ in replay.commits():
            assert all(decode_entry(each.content) for each in one.frames if each.kind is FrameKind.ENTRY)
        assert replay.end == len(files.content[f"journal/{name}"])
        size = replay.size
    return size


@pytest.mark.parametrize("max_file", [1 << 20, SMALL_FILES])
def test_after_a_crash_at_any_byte_it_has_what_was_acknowledged(max_file: int) -> None:
    states, acknowledged = recorded(max_file)
    assert len(states) > 1000
    for state, size in zip(states, acknowledged, strict=True):
        files = MemoryFiles(dict(state))
        recovered = recover(files, SIGNER.key)
        now = recovered.head.edge.size
        # A commit may be whole that nobody was told of yet, because tiles were just being published, or about to be.
        assert now >= size
        assert now in {
            size,
            *(sum(COMMITS[:count]) for count in range(len(COMMITS) + 1) if sum(COMMITS[:count]) > size),
        }
        assert entries(files) == now
        if now:
            assert parse_checkpoint(files.content[CHECKPOINT].decode())[0].size == now
        assert recovered.cut == sum(map(len, state_journal(state))) - sum(map(len, state_journal(files.content)))


def state_journal(content: dict[str, bytes]) -> list[bytes]:
    return [each for path, each in content.items() if path.startswith("journal/")]


@pytest.mark.parametrize("max_file", [1 << 20, SMALL_FILES])
def test_after_a_crash_it_goes_on(max_file: int) -> None:
    states, _ = recorded(max_file)
    for state in states[:: len(states) // 40]:
        files = MemoryFiles(dict(state))
        before = recover(files.copy(), SIGNER.key).head.edge.size
        for _ in session(files, max_file, [300]):
            pass
        assert entries(files) == before + 300
        assert recover(files, SIGNER.key).cut == 0


def test_what_was_cut_is_recorded() -> None:
    files = MemoryFiles()
    with opened(files):
        pass
    files.content["journal/0000000000000000.journal"] += b"torn"
    with opened(files, LogLimits(journal_file=1)):
        pass
    replay = Replay(files.content["journal/0000000000000001.journal"], SIGNER.key)
    ((one, _),) = replay.commits()
    assert decode_entry(one.frames[0].content) == Started(
        version="1.0", cut_bytes=4, sealed_under=KEYS.sealer().commitment(), time=1_790_000_000_000
    )


def folder(*commits: int) -> tuple[MemoryFiles, list[int]]:
    """A folder with one journal file, and where each commit ends in it."""
    files = MemoryFiles()
    ends = [len(files.content[PATH]) for _ in session(files, 1 << 20, commits)]
    return files, ends


PATH = "journal/0000000000000000.journal"


def test_a_commit_torn_in_its_middle_is_cut() -> None:
    """Blocks of one write may reach the disk in any order."""
    files, ends = folder(1, 1, 1)
    before = parse_published(files, ends[1])
    for at in range(ends[1], ends[2]):
        if files.content[PATH][at]:
            torn = MemoryFiles({**files.content, CHECKPOINT: before})
            torn.content[PATH] = torn.content[PATH][:at] + b"\0" + torn.content[PATH][at + 1 :]
            assert recover(torn, SIGNER.key).head.edge.size == 2


def parse_published(files: MemoryFiles, end: int) -> bytes:
    """The checkpoint of the commit that ends at an offset."""
    replay = Replay(files.content[PATH][:end], SIGNER.key)
    for _ in replay.commits():
        pass
    return replay.checkpoint.encode()


def test_what_no_crash_can_have_done_is_not_cut() -> None:
    files, ends = folder(1, 1, 1)
    for at in range(0, ends[1], 7):
        damaged = files.copy()
        journal = files.content[PATH]
        damaged.content[PATH] = journal[:at] + bytes([journal[at] ^ 0xFF]) + journal[at + 1 :]
        with pytest.raises(AuditError, match="not continued"):
            recover(damaged, SIGNER.key)


@pytest.mark.parametrize("end", [0, 1])
def test_a_journal_that_lost_what_was_published_is_not_continued(end: int) -> None:
    files, ends = folder(1, 1, 1)
    files.content[PATH] = files.content[PATH][: ends[end]]
    with pytest.raises(AuditError, match="not those of the journal"):
        recover(files, SIGNER.key)
    del files.content[PATH]
    with pytest.raises(AuditError, match="all entries are missing"):
        recover(files, SIGNER.key)


@pytest.mark.parametrize("commits", [(1,), (1, 1)])
@pytest.mark.parametrize(
    "other", [NoteSigner(ORIGIN + "1", KEYS.signing_key()), NoteSigner(ORIGIN, Ed25519PrivateKey.generate())]
)
def test_a_log_is_not_continued_under_another_key_or_name(commits: tuple[int, ...], other: NoteSigner) -> None:
    files, _ = folder(*commits)
    before = dict(files.content)
    with pytest.raises(AuditError, match="not continued"):
        recover(files, other.key)
    assert files.content == before


def test_tiles_are_made_anew_from_the_journal() -> None:
    files = MemoryFiles()
    for _ in session(files, 20_000, [100] * 8):
        pass
    whole = dict(files.content)
    assert len(files.names("journal")) > 3
    for path in [path for path in files.content if not path.startswith("journal/")]:
        del files.content[path]
    recover(files, SIGNER.key)
    partial = [path for path in whole if ".p/" in path and path not in files.content]
    assert {path: whole[path] for path in whole if path not in partial} == files.content
    assert all(not path.endswith("/32") for path in partial), "of the last size, they are needed"


def test_a_failing_disk_leaves_a_log_that_opens() -> None:
    async def record() -> None:
        while True:
            await log.append(admitted())

    for room in range(0, 12_000, 397):
        files = MemoryFiles()
        with opened(files) as log:
            files.room = room
            with pytest.raises(AuditError):
                run(record)
        files.room = 1 << 60
        with opened(files):
            pass
        assert entries(files) >= 2
