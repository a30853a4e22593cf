"""Asks a witness (C2SP tlog-witness) to cosign the checkpoint of a log: it confirms that the log has only grown since.

The witness remembers the last checkpoint that it has cosigned, and wants a proof that the new one is its continuation.
A log that was exchanged for another cannot give one.
"""

from collections.abc import Callable

from broker.audit.publication import CHECKPOINT
from broker.audit.tlog.checkpoint import parse_checkpoint
from broker.audit.tlog.note import Note, VerifierKey, encode_base64, parse_note
from broker.audit.tlog.tile_proof import TileTree
from broker.audit.verification.folder import LogFolder
from broker.errors import AuditError

PostToWitness = Callable[[bytes], tuple[int, bytes]]
"""Posts a body to a witness; returns the status and the body of the response. Raises `AuditError`."""

_ANOTHER_SIZE = 409
_OK = 200


def cosigned(folder: LogFolder, witness: VerifierKey, post: PostToWitness) -> str:
    """The published checkpoint of a log with a cosignature of the witness.

    Raises `AuditError` if the witness cannot be reached or does not cosign.
    """
    try:
        signed = (folder.read(CHECKPOINT) or b"").decode()
        size = parse_checkpoint(signed)[0].size
        tree = TileTree(size, folder.hashes)
        status, answer = post(_body(tree, 0, signed))
        if status == _ANOTHER_SIZE:
            status, answer = post(_body(tree, _old_size(answer, size), signed))
    except ValueError as error:
        msg = f"{folder.path}: {error}"
        raise AuditError(msg) from None
    if status != _OK:
        msg = f"{folder.path}: the witness has not cosigned it (status {status})"
        raise AuditError(msg)
    return _with_cosignature(folder, signed, answer, witness)


def _body(tree: TileTree, old: int, signed: str) -> bytes:
    proof = "".join(f"{encode_base64(each)}\n" for each in tree.consistency(old))
    return f"old {old}\n{proof}\n{signed}".encode()


def _old_size(answer: bytes, size: int) -> int:
    """The size of which the witness knows a checkpoint."""
    text = answer.decode("ascii", "replace").strip()
    if not text.isdecimal() or len(text) > 19:
        raise ValueError("the witness does not say which size it knows")
    if int(text) > size:
        msg = f"the witness has cosigned it with {text} entries, but it has {size}; run: broker audit verify"
        raise ValueError(msg)
    return int(text)


def _with_cosignature(folder: LogFolder, signed: str, answer: bytes, witness: VerifierKey) -> str:
    try:
        lines = answer.decode()
        note = parse_note(signed + lines)
    except ValueError:
        note, lines = Note("", ()), ""
    if not witness.verifies(note):
        msg = f"{folder.path}: what the witness answered is no cosignature of its key"
        raise AuditError(msg)
    return signed + lines
