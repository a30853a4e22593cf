"""Gives entries their places in the log: seals material, hashes, grows the tree, and signs the new checkpoint.

What it makes of a batch is the content of one commit. It writes nothing; if the commit cannot be written, the sequencer
must not be used any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import msgspec

from broker.audit.entry import BEFORE, AuditEntry, Ended, MaterialDigest, encode_entry, withhold
from broker.audit.frames import FrameKind, JournalHead, frame
from broker.audit.sealing import Sealer
from broker.audit.tlog.checkpoint import Checkpoint
from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.note import NoteSigner
from broker.audit.tlog.proof import format_proof
from broker.audit.tlog.tiles import Resource, TileEdge, Tiles


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that is in the log, durably."""

    origin: str
    """The name of the log."""
    index: int
    entry: bytes
    proof: str
    """A C2SP tlog-proof; empty if none was wanted."""


class Unrecorded(NamedTuple):
    """An entry that is to be recorded."""

    entry: AuditEntry
    material: Sequence[bytes | memoryview]
    proof: bool


class SealedEntry(NamedTuple):
    """The same, ready to be given its place."""

    entry: AuditEntry
    """As it may stand in the clear."""
    sealed: bytes
    """Empty if nothing is sealed."""
    digest: bytes
    """SHA-256 of what is sealed."""
    proof: bool


class Sequenced(NamedTuple):
    """What a batch of entries became."""

    pieces: list[bytes]
    """Frames of the journal, without the one that ends the commit."""
    recorded: list[Recorded]
    checkpoint: str
    """Signed."""
    whole: list[Resource]
    """Tiles that have become whole."""


class Sequencer:
    """State: the edge of the log, and its last checkpoint."""

    def __init__(self, head: JournalHead, signer: NoteSigner, sealer: Sealer, clock: Callable[[], float]) -> None:
        """`head`: from where the log is continued. `clock`: seconds since the epoch."""
        self._origin = head.origin
        self._tree = head.edge.right_edge()
        self._tiles = Tiles(head.edge)
        self._checkpoint = head.checkpoint
        self._signer = signer
        self._sealer = sealer
        self._clock = clock

    def head(self) -> JournalHead:
        """What a journal file begins with that continues the log from here."""
        return JournalHead(self._origin, self._tiles.edge(), self._checkpoint)

    def edge(self) -> TileEdge:
        """What the partial tiles hold."""
        return self._tiles.edge()

    def seal(self, unrecorded: Unrecorded) -> SealedEntry:
        """Seals what must not stand in the clear. Changes nothing, so that it may be called on any thread."""
        entry, texts = withhold(unrecorded.entry)
        sealed = self._sealer.seal(texts, unrecorded.material) if texts or unrecorded.material else b""
        return SealedEntry(entry, sealed, sha256(sealed).digest(), unrecorded.proof)

    def add(self, batch: Sequence[SealedEntry]) -> Sequenced:
        """Adds entries to the log."""
        now = int(self._clock() * 1000)
        first = self._tree.size
        pieces: list[bytes] = []
        entries = [self._encode(each, index, now, pieces) for index, each in enumerate(batch, start=first)]
        leaves = [leaf_hash(entry) for entry in entries]
        whole = self._tiles.extend(self._tree.extend(leaves), entries)
        self._checkpoint = self._signer.sign(Checkpoint(self._origin, self._tree.size, self._tree.root()).text())
        recorded = [
            Recorded(self._origin, index, entry, self._proof(index) if each.proof else "")
            for index, (entry, each) in enumerate(zip(entries, batch, strict=True), start=first)
        ]
        return Sequenced(pieces, recorded, self._checkpoint, whole)

    def _encode(self, each: SealedEntry, index: int, now: int, pieces: list[bytes]) -> bytes:
        """The bytes of an entry. Adds its frame to the pieces, after that of its material."""
        entry, digest = each.entry, None
        if isinstance(entry, Ended) and entry.admitted == BEFORE:
            entry = msgspec.structs.replace(entry, admitted=index - 1)
        if each.sealed:
            pieces += frame(FrameKind.MATERIAL, each.sealed, each.digest)
            digest = MaterialDigest(sha256=each.digest.hex(), size=len(each.sealed))
        encoded = encode_entry(msgspec.structs.replace(entry, time=now, material=digest))
        pieces += frame(FrameKind.ENTRY, encoded, leaf_hash(encoded))
        return encoded

    def _proof(self, index: int) -> str:
        return format_proof(index, self._tree.proof(index), self._checkpoint)
