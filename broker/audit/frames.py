"""The bytes of a journal: frames, each with a kind, a size, and the beginning of a hash by which damage is seen.

    kind      4 bytes
    size      u32       little-endian, of the content
    check     8 bytes   the first ones of the content's SHA-256; of an entry, those of its hash in the tree
    content

A file begins with a head, from which alone the log can be continued (`JournalHead`). Then come commits. A commit has
entries, each preceded by its sealed material if it has any, and ends with a frame that holds the offset at which the
commit begins and the signed checkpoint of the log with these entries. What comes after the last whole commit was never
acknowledged to anybody.
"""

from collections.abc import Iterator
from enum import Enum
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

import msgspec

from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.tiles import TileEdge

_HEADER = Struct("<4sI8s")
_OFFSET = Struct("<Q")
_CHECK = 8


class FrameKind(bytes, Enum):
    """What a frame holds."""

    HEAD = b"HEAD"
    MATERIAL = b"MATL"
    ENTRY = b"ENTR"
    COMMIT = b"CMIT"


_KINDS = {kind.value: kind for kind in FrameKind}


class JournalHead(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a journal file."""

    origin: str
    edge: TileEdge
    checkpoint: str
    """The last one before this file, signed; empty if there was none."""


class Frame(NamedTuple):
    """A frame that is whole."""

    kind: FrameKind
    content: bytes
    hash: bytes
    """Of the content; of an entry, its hash in the tree."""
    end: int
    """The offset after it."""


class JournalCommit(NamedTuple):
    """A commit that is whole."""

    start: int
    end: int
    frames: list[Frame]
    """Entries and material."""
    checkpoint: str
    """A signed note."""


def hash_of(kind: FrameKind, content: bytes) -> bytes:
    """The hash that a frame begins with."""
    return leaf_hash(content) if kind is FrameKind.ENTRY else sha256(content).digest()


def frame(kind: FrameKind, content: bytes, digest: bytes) -> tuple[bytes, bytes]:
    """A frame, in two pieces. `digest`: see `hash_of`."""
    return _HEADER.pack(kind.value, len(content), digest[:_CHECK]), content


def head_frame(head: JournalHead) -> bytes:
    """The frame that a file begins with."""
    content = msgspec.msgpack.encode(head)
    return b"".join(frame(FrameKind.HEAD, content, hash_of(FrameKind.HEAD, content)))


def commit_frame(start: int, checkpoint: str) -> tuple[bytes, bytes]:
    """The frame that ends a commit, in two pieces. `start`: the offset at which the commit begins."""
    content = _OFFSET.pack(start) + checkpoint.encode()
    return frame(FrameKind.COMMIT, content, hash_of(FrameKind.COMMIT, content))


def read_frame(journal: bytes, start: int) -> Frame | None:
    """The frame at this offset; None if there is none that is whole."""
    if len(journal) - start < _HEADER.size:
        return None
    code, size, check = _HEADER.unpack_from(journal, start)
    at = start + _HEADER.size
    content = journal[at : at + size]
    kind = _KINDS.get(code)
    if kind is None or len(content) < size:
        return None
    digest = hash_of(kind, content)
    return Frame(kind, content, digest, at + size) if digest[:_CHECK] == check else None


def read_head(journal: bytes) -> tuple[JournalHead, int] | None:
    """The head of a file, and the offset after it; None if it is not whole."""
    found = read_frame(journal, 0)
    if found is None or found.kind is not FrameKind.HEAD:
        return None
    try:
        return msgspec.msgpack.decode(found.content, type=JournalHead), found.end
    except (msgspec.DecodeError, UnicodeDecodeError):  # the latter if a text is not UTF-8
        return None


def read_commits(journal: bytes, start: int) -> Iterator[JournalCommit]:
    """The commits from an offset on, as far as they are whole."""
    frames: list[Frame] = []
    at = start
    while (found := read_frame(journal, at)) is not None:
        at = found.end
        if found.kind in (FrameKind.ENTRY, FrameKind.MATERIAL):
            frames.append(found)
            continue
        began = _began_at(found)
        if began != start or not frames or frames[-1].kind is not FrameKind.ENTRY:
            return
        yield JournalCommit(start, at, frames, found.content[_OFFSET.size :].decode("utf-8", "replace"))
        start, frames = at, []


def _began_at(found: Frame) -> int | None:
    """Where the commit began that this frame ends; None if it ends none."""
    if found.kind is not FrameKind.COMMIT or len(found.content) < _OFFSET.size:
        return None
    return int(_OFFSET.unpack_from(found.content)[0])


def count_commits(journal: bytes, start: int) -> int:
    """How many frames that end a commit are whole after damage at this offset.

    A commit is written only after the one before it is durable, so that a crash leaves at most one.
    """
    count, at = 0, start
    while (at := journal.find(FrameKind.COMMIT.value, at)) >= 0:
        found = read_frame(journal, at)
        count += found is not None and _began_at(found) is not None
        at += 1
    return count
