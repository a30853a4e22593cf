"""Logs in folders for tests of whoever reads them: some requests, written without a thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from broker.audit.entry import Admitted, AuditEntry, Ended, Refused, Started
from broker.audit.files import DiskFiles
from broker.audit.frames import FrameKind, commit_frame, frame, hash_of, read_commits, read_head
from broker.audit.journal import Journal
from broker.audit.keys import AuditKeys
from broker.audit.log import VERIFIER_KEY, commit
from broker.audit.material import AnswersBlock, Inquired, encode_blocks
from broker.audit.publication import Unpublished, publish
from broker.audit.recovery import recover
from broker.audit.sequencer import Recorded, Sequencer, Unrecorded
from broker.audit.tlog.note import NoteSigner
from broker.model import Outcome, Source, SubjectType
from tests.audit.logs import KEYS, NOW, ORIGIN

INSTITUTIONS = ("bank", "registry")
SUBJECTS = [(SubjectType.RESIDENT_ID, f"11010119900307{number:04d}", f"张{number}") for number in range(6)]


def commitments(numbers: Sequence[int], keys: AuditKeys = KEYS) -> bytes:
    """The commitments of some of the subjects."""
    types, ids, names = zip(*(SUBJECTS[number] for number in numbers), strict=True)
    return b"".join(keys.keyer().keys(types, ids, names))


@dataclass(slots=True)
class Writer:
    """Continues a log. State: what was recorded."""

    folder: Path
    origin: str = ORIGIN
    max_file: int = 14_000
    now: float = NOW
    step: float = 1.0
    """Seconds that pass with each commit."""
    keys: AuditKeys = KEYS
    recorded: list[Recorded] = field(default_factory=list)

    def write(self, *batches: Sequence[tuple[AuditEntry, Sequence[bytes | memoryview]]]) -> None:
        """Each batch is a commit. The first begins with a start."""
        files = DiskFiles(self.folder)
        signer = NoteSigner(self.origin, self.keys.signing_key())
        recovered = recover(files, signer.key)
        sequencer = Sequencer(recovered.head, signer, self.keys.sealer(), self._clock)
        journal = Journal(files, path=recovered.path, size=recovered.end, max_file=self.max_file)
        files.replace([(VERIFIER_KEY, f"{signer.key}\n".encode())])
        started = Started(version="1.0", sealed_under=self.keys.sealer().commitment())
        offered: list[Unpublished] = []
        for batch in [[(started, ())], *batches]:
            unrecorded = [Unrecorded(entry, material, proof=True) for entry, material in batch]
            recorded, _ = commit(sequencer, journal, offered.append, list(map(sequencer.seal, unrecorded)))
            self.recorded += recorded
        publish(files, offered[-1]._replace(whole=[tile for each in offered for tile in each.whole]))
        journal.close()
        files.close()

    def _clock(self) -> float:
        self.now += self.step
        return self.now


def admission(numbers: Sequence[int], officer: str = "王法官") -> tuple[AuditEntry, Sequence[bytes | memoryview]]:
    """A request about some of the subjects."""
    entry = Admitted(
        method="Investigate",
        court="京01",
        officer=officer,
        case_number="（2026）京01执1号",
        legal_document="协助查询通知书1号",
        lookups=len(numbers),
        institutions=len(INSTITUTIONS),
    )
    return entry, Inquired(INSTITUTIONS, commitments(numbers)).encode()


def ending(admitted: int, outcomes: Sequence[Outcome]) -> tuple[AuditEntry, Sequence[bytes | memoryview]]:
    """Its end: both institutions said the same of each lookup."""
    count = len(outcomes)
    positions, observed = np.arange(count, dtype=np.uint32), np.full(count, int(NOW), np.uint32)
    blocks = [
        AnswersBlock(column, positions, bytes(outcomes), observed, Source.INSTITUTION)
        for column in range(len(INSTITUTIONS))
    ]
    told = {outcome.name: len(INSTITUTIONS) * list(outcomes).count(outcome) for outcome in set(outcomes)}
    return Ended(admitted=admitted, reports=count, outcomes=told, sources={"INSTITUTION": 2 * count}), encode_blocks(
        blocks
    )


def refusal() -> tuple[AuditEntry, Sequence[bytes | memoryview]]:
    """A request that was refused."""
    return Refused(method="Investigate", court="京01", status="PERMISSION_DENIED", reason="no", rule="courts"), ()


def write_log(folder: Path, requests: int = 20, **how: object) -> Writer:
    """A log with some requests about one or two subjects each, some of them in one commit with a refusal."""
    writer = Writer(folder, **how)  # type: ignore[arg-type]
    batches, index = [], 1
    for number in range(requests):
        about = [number % 6, (number + 1) % 6][: 1 + number % 2]
        batches.append([admission(about), *([refusal()] if number % 3 == 0 else [])])
        batches.append([ending(index, [Outcome.FOUND, Outcome.NOT_FOUND][: len(about)])])
        index += len(batches[-2]) + 1
    writer.write(*batches)
    return writer


Frames = list[tuple[FrameKind, bytes]]


def rewrite(path: Path, change: Callable[[list[Frames]], None]) -> None:
    """Changes the commits of a journal file as somebody would who knows its format, but not the signing key."""
    journal = path.read_bytes()
    found = read_head(journal)
    assert found is not None
    commits = [
        [*((each.kind, each.content) for each in one.frames), (FrameKind.COMMIT, one.checkpoint.encode())]
        for one in read_commits(journal, found[1])
    ]
    change(commits)
    changed = journal[: found[1]]
    for frames in commits:
        pieces: list[bytes] = []
        for kind, content in frames[:-1]:
            pieces += frame(kind, content, hash_of(kind, content))
        pieces += commit_frame(len(changed), frames[-1][1].decode())
        changed += b"".join(pieces)
    path.write_bytes(changed)
