"""What a log has to agree with: checkpoints and entries that its owner, courts or witnesses kept, and other copies."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

import msgspec

from broker.audit.publication import CHECKPOINT
from broker.audit.tlog.checkpoint import Checkpoint, parse_checkpoint
from broker.audit.tlog.hashing import leaf_hash
from broker.audit.tlog.note import Note, VerifierKey, decode_base64
from broker.audit.tlog.proof import LoggedProof, parse_proof
from broker.audit.verification.faults import FaultKind
from broker.audit.verification.folder import LogFolder, find_logs
from broker.errors import AuditError

RECEIPT_SUFFIX = ".tlog-proof"
"""Of files with receipts."""


@dataclass(frozen=True, slots=True)
class ExpectedRoot:
    """A root that a log had at some size."""

    origin: str
    size: int
    root: bytes
    kind: FaultKind
    """Of the fault, if the log has another one."""
    known_from: str


@dataclass(frozen=True, slots=True)
class ExpectedEntry:
    """An entry that a log had at some index."""

    origin: str
    index: int
    leaf: bytes
    known_from: str


@dataclass(frozen=True, slots=True)
class Expectations:
    """All that logs have to agree with."""

    roots: tuple[ExpectedRoot, ...] = ()
    entries: tuple[ExpectedEntry, ...] = ()
    copies: tuple[LogFolder, ...] = ()


class _ReceiptJson(msgspec.Struct, frozen=True):
    """A receipt as a court keeps it, in JSON."""

    entry: str
    proof: str
    log: str = ""
    index: int = 0


def read_receipt(text: str) -> tuple[LoggedProof, bytes | None]:
    """The proof in a receipt, and the entry if it is there. Raises `ValueError`.

    A receipt is a tlog-proof, with the entry as its extra data, or JSON with `proof` and `entry` (the line itself, or
    Base64 of it, as protobuf's JSON has it).
    """
    if not text.startswith("{"):
        proof = parse_proof(text)
        return proof, proof.extra
    receipt = msgspec.json.decode(text, type=_ReceiptJson)
    entry = receipt.entry.encode() if receipt.entry.startswith("{") else decode_base64(receipt.entry)
    return parse_proof(receipt.proof), entry


def read_expectations(paths: list[Path], keys: "LogKeys") -> Expectations:
    """What files and folders of earlier times say: checkpoints, receipts, folders of receipts, and copies of logs.

    Raises `AuditError` if one of them is nothing of that kind, or not signed by the owner of the log.
    """
    roots: list[ExpectedRoot] = []
    entries: list[ExpectedEntry] = []
    copies = [log for path in paths for log in find_logs(path)]
    for path in chain.from_iterable(map(_kept_files, paths)):
        try:
            text = path.read_text(encoding="utf-8")
            if text.startswith(("{", "c2sp.org/tlog-proof")):
                proof, entry = read_receipt(text)
                checkpoint, note = proof.checkpoint, proof.note
                if entry is not None:
                    entries.append(ExpectedEntry(checkpoint.origin, proof.index, leaf_hash(entry), str(path)))
            else:
                checkpoint, note = parse_checkpoint(text)
        except (OSError, ValueError) as error:
            msg = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
            raise AuditError(msg) from None
        if not keys.verifies(checkpoint, note):
            msg = f"{path}: is not signed with the key of the log {checkpoint.origin}"
            raise AuditError(msg)
        roots.append(ExpectedRoot(checkpoint.origin, checkpoint.size, checkpoint.root, FaultKind.FORKED, str(path)))
    return Expectations(tuple(roots), tuple(entries), tuple(copies))


def _kept_files(path: Path) -> list[Path]:
    """The files of checkpoints and receipts at a path: itself, or the receipts in a folder that is no copy of logs."""
    if not path.is_dir():
        return [path]
    receipts = sorted(path.glob(f"*{RECEIPT_SUFFIX}"))
    if not receipts and not find_logs(path):
        msg = f"{path}: there is neither a log nor a receipt ({RECEIPT_SUFFIX}) in it"
        raise AuditError(msg)
    return receipts


class LogKeys:
    """The keys that may have signed. Each counts under every origin, since all logs of a broker share one."""

    def __init__(self, keys: list[VerifierKey]) -> None:
        self._keys = keys

    def verifies(self, checkpoint: Checkpoint, note: Note) -> bool:
        """Whether a checkpoint has a signature of one of the keys."""
        return any(key.named(checkpoint.origin).verifies(note) for key in self._keys)


def read_checkpoint(folder: LogFolder) -> tuple[Checkpoint, Note] | None:
    """The published checkpoint of a log; None if there is none. Raises `ValueError` if it is damaged."""
    content = folder.read(CHECKPOINT)
    return parse_checkpoint(content.decode("utf-8")) if content is not None else None


def fingerprint(keys: list[VerifierKey]) -> str:
    """What to compare with what the owner of a log says of the key: SHA-256 of the public keys."""
    return ", ".join(sorted({sha256(key.public).hexdigest()[:16] for key in keys}))
