"""What a journal file holds, read with as few steps per entry as can be, and read once more if something is wrong."""

from dataclasses import dataclass, field

from broker.audit.frames import FrameKind, JournalHead, read_commits, read_frame, read_head
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.right_edge import RightEdge
from broker.audit.verification.expectations import LogKeys
from broker.audit.verification.faults import FaultKind

_TAGS = tuple(kind.value for kind in FrameKind)
_HEADER_SIZE = 16


@dataclass(slots=True)
class JournalContent:
    """A journal file, up to the first byte that is not as it must be."""

    head: JournalHead
    end: int
    """The offset after the last commit."""
    entries: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    """The hashes of the entries in the tree."""
    material: list[tuple[bytes, bytes] | None] = field(default_factory=list)
    """What precedes each entry: sealed bytes and their SHA-256."""
    checkpoint: str = ""
    """The last one, signed."""


def read_content(journal: bytes) -> JournalContent | None:
    """What a file holds; None if it has no head."""
    found = read_head(journal)
    if found is None:
        return None
    content = JournalContent(*found)
    for commit in read_commits(journal, content.end):
        material = None
        for frame in commit.frames:
            if frame.kind is FrameKind.MATERIAL:
                material = (frame.content, frame.hash)
                continue
            content.entries.append(frame.content)
            content.leaves.append(frame.hash)
            content.material.append(material)
            material = None
        content.end, content.checkpoint = commit.end, commit.checkpoint
    return content


def readable_leaves(journal: bytes) -> list[bytes]:
    """The hashes of all entries in a file, whatever lies between them; zeros for an entry that is damaged."""
    leaves, at = [], 0
    while at < len(journal):
        frame = read_frame(journal, at)
        if frame is not None:
            if frame.kind is FrameKind.ENTRY:
                leaves.append(frame.hash)
            at = frame.end
            continue
        following = _next_frame(journal, at + 1)
        if journal.startswith(FrameKind.ENTRY.value, at) and following < len(journal):
            leaves.append(bytes(32))
        at = following
    return leaves


def _next_frame(journal: bytes, start: int) -> int:
    """Where the next frame begins that is whole, or looks like an entry; the end if there is none."""
    at = start
    while at < len(journal):
        found = [place for tag in _TAGS if (place := journal.find(tag, at)) >= 0]
        if not found:
            return len(journal)
        at = min(found)
        if read_frame(journal, at) is not None:
            return at
        at += 1
    return at


def first_false_commit(journal: bytes, keys: LogKeys | None = None) -> tuple[FaultKind, int, str] | None:
    """The first commit that its own checkpoint contradicts: kind, index of its first entry, and what is wrong.

    With `keys`, also one that none of them has signed.
    """
    found = read_head(journal)
    if found is None:
        return None
    head, start = found
    tree = head.edge.right_edge()
    for commit in read_commits(journal, start):
        first = tree.size
        tree.extend([frame.hash for frame in commit.frames if frame.kind is FrameKind.ENTRY])
        try:
            checkpoint, note = parse_checkpoint(commit.checkpoint)
        except ValueError as error:
            return FaultKind.CHANGED, first, f"its checkpoint {error}"
        if checkpoint.size != tree.size:
            kind = FaultKind.REMOVED if checkpoint.size > tree.size else FaultKind.ADDED
            return kind, first, f"its commit has {tree.size - first} entries, and {checkpoint.size - first} were signed"
        if checkpoint.root != tree.root():
            return FaultKind.CHANGED, first, "the entries of its commit are not those that were signed"
        if keys and not keys.verifies(checkpoint, note):
            return FaultKind.UNSIGNED, first, "the checkpoint of its commit is not signed with the key of the log"
    return None


def tree_before(content: JournalContent) -> RightEdge:
    """The tree that a file continues. Raises `ValueError` if its head is none."""
    return content.head.edge.right_edge()
