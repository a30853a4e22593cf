"""Proofs that an entry is in a log (C2SP tlog-proof), and that a log is a continuation of another (RFC 9162, 2.1)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from broker.audit.tlog.checkpoint import Checkpoint, parse_checkpoint
from broker.audit.tlog.hashing import HASH_SIZE, node_hash
from broker.audit.tlog.note import Note, decode_base64, encode_base64

_HEADER = "c2sp.org/tlog-proof@v1"
_FORM = re.compile(_HEADER + r"\n(?:extra (\S*)\n)?index (0|[1-9][0-9]{0,18})\n((?:[^\n]+\n)*)\n(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoggedProof:
    """A proof that an entry is in a log."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: Note
    """The checkpoint with its signatures."""
    extra: bytes | None = None
    """Whatever was added, such as the entry itself. It proves nothing by itself."""

    def includes(self, leaf: bytes) -> bool:
        """Whether the entry with this leaf hash is in the log. The signatures are another matter."""
        return root_from(leaf, self.index, self.checkpoint.size, self.hashes) == self.checkpoint.root


def format_proof(index: int, hashes: Sequence[bytes], checkpoint: str, extra: bytes = b"") -> str:
    """The text of a proof. `checkpoint`: a signed note. `extra`: see `LoggedProof`."""
    lines = "".join([f"{encode_base64(each)}\n" for each in hashes])
    added = f"extra {encode_base64(extra)}\n" if extra else ""
    return f"{_HEADER}\n{added}index {index}\n{lines}\n{checkpoint}"


def parse_proof(text: str) -> LoggedProof:
    """The proof in a text. Raises `ValueError`."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("is no tlog-proof")
    extra, index, lines, signed = match.groups()
    hashes = tuple(map(decode_base64, lines.split()))
    if any(len(each) != HASH_SIZE for each in hashes):
        raise ValueError("has a hash that is no SHA-256")
    checkpoint, note = parse_checkpoint(signed)
    return LoggedProof(int(index), hashes, checkpoint, note, decode_base64(extra) if extra else None)


def root_from(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that follows from an inclusion proof (RFC 9162, 2.1.3.2); None if it has too few or too many hashes."""
    if not 0 <= index < size:
        return None
    node, last, root = index, size - 1, leaf
    for each in hashes:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(each, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, each)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None
