"""Proves that an entry is in a log, to somebody who has nothing but the log's public key; and checks such a proof."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.audit.publication import CHECKPOINT
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.note import VerifierKey
from broker.audit.tlog.proof import format_proof
from broker.audit.tlog.tile_proof import TileTree
from broker.audit.tlog.tiles import WIDTH
from broker.audit.verification.expectations import LogKeys, read_receipt
from broker.audit.verification.folder import LogFolder
from broker.errors import AuditError


def prove(folder: LogFolder, index: int) -> str:
    """The proof of an entry, with the entry itself as its extra data, from what is published of a log.

    Raises `AuditError` if the log has no such entry, or if what is published does not prove it.
    """
    try:
        entry, text = _proof(folder, index)
        proof, _ = read_receipt(text)
    except ValueError as error:
        msg = f"{folder.path}: {error}"
        raise AuditError(msg) from None
    if not proof.includes(leaf_hash(entry)):
        msg = f"{folder.path}: the tiles do not lead to the signed root; run: broker audit verify"
        raise AuditError(msg)
    return text


def _proof(folder: LogFolder, index: int) -> tuple[bytes, str]:
    content = folder.read(CHECKPOINT)
    if content is None:
        raise ValueError("there is no published checkpoint")
    signed = content.decode()
    size = parse_checkpoint(signed)[0].size
    hashes = TileTree(size, folder.hashes).proof(index)
    bundle, at = divmod(index, WIDTH)
    entries = folder.entries(bundle, min(WIDTH, size - bundle * WIDTH))
    if entries is None or at >= len(entries):
        raise ValueError("the entry itself is not published any more")
    return entries[at], format_proof(index, hashes, signed, entries[at])


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """What a receipt proves."""

    log: str
    entry_index: int
    size: int
    """Entries that the log had at least."""
    entry: bytes


def check_receipt(text: str, keys: Sequence[VerifierKey], entry: bytes | None = None) -> ProvenEntry:
    """What a receipt proves. `entry`: if the receipt does not have it. Raises `AuditError` if it proves nothing."""
    try:
        proof, held = read_receipt(text)
    except ValueError as error:
        msg = f"the receipt {error}"
        raise AuditError(msg) from None
    entry = held if entry is None else entry
    if entry is None:
        raise AuditError("the receipt does not have the entry: give it with --entry")
    if not LogKeys(list(keys)).verifies(proof.checkpoint, proof.note):
        raise AuditError("the checkpoint of the receipt is not signed with this key")
    if not proof.includes(leaf_hash(entry)):
        raise AuditError("the proof is not about this entry")
    return ProvenEntry(proof.checkpoint.origin, proof.index, proof.checkpoint.size, entry)
