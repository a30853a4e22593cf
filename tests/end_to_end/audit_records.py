"""Reads what a broker has recorded, entry by entry, with what is sealed beside each."""

from pathlib import Path
from typing import NamedTuple

from broker.audit.entry import AuditEntry, decode_entry
from broker.audit.frames import FrameKind
from broker.audit.keys import load_keys
from broker.audit.replay import Replay
from broker.audit.tlog.note import parse_verifier_key


class Record(NamedTuple):
    """One entry, and what is sealed beside it."""

    entry: AuditEntry
    content: bytes


def records(folder: Path, worker: int = 0) -> list[Record]:
    """Everything in a worker's log, in order."""
    log, sealer = folder / "audit" / f"worker-{worker}", load_keys(folder / "audit.key").sealer()
    key = parse_verifier_key((log / "verifier-key").read_text().strip())
    found: list[Record] = []
    sealed = b""
    for path in sorted((log / "journal").iterdir()):
        for commit, _ in Replay(path.read_bytes(), key).commits():
            for frame in commit.frames:
                if frame.kind is FrameKind.MATERIAL:
                    sealed = frame.content
                else:
                    entry = decode_entry(frame.content)
                    found.append(Record(entry, sealer.open(sealed).content if entry.material else b""))
    return found
