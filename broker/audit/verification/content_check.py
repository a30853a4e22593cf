"""Whether what is sealed beside an entry is what the entry says: its digest, and with the key also what is in it."""

import numpy as np

from broker.audit.entry import Admitted, AuditEntry, Ended
from broker.audit.material import answer_columns, decode_blocks, decode_inquired
from broker.audit.sealing import Sealer
from broker.model import Outcome

SealedBlob = tuple[bytes, bytes]
"""Sealed bytes and their SHA-256."""


class MaterialCheck:
    """State: of each request that has not ended, how many lookups and institutions it has."""

    def __init__(self, sealer: Sealer | None) -> None:
        """Without a sealer, digests alone are checked."""
        self._sealer = sealer
        self._shapes: dict[int, tuple[int, int]] = {}

    def find_fault(self, index: int, entry: AuditEntry, blob: SealedBlob | None) -> str | None:
        """What is wrong with the material before an entry; None if nothing is."""
        if blob is None or entry.material is None:
            is_right = blob is None and entry.material is None
            return None if is_right else "there is material that the entry has no digest of, or the reverse"
        sealed, digest = blob
        if digest.hex() != entry.material.sha256 or len(sealed) != entry.material.size:
            return "the material is not that of the entry"
        if self._sealer is None:
            return None
        try:
            return self._find_content_fault(index, entry, self._sealer.open(sealed).content)
        except ValueError as error:
            return f"the material cannot be read: {error}"

    def _find_content_fault(self, index: int, entry: AuditEntry, content: bytes) -> str | None:
        if isinstance(entry, Admitted) and content:
            inquired = decode_inquired(content)
            shape = len(inquired.commitments) // 16, len(inquired.institutions)
            self._shapes[index] = shape
            if shape != (entry.lookups, entry.institutions):
                return f"the material is about {shape[0]} lookups at {shape[1]} institutions, unlike the entry"
        elif isinstance(entry, Ended):
            return self._find_answer_fault(entry, content)
        return None

    def _find_answer_fault(self, entry: Ended, content: bytes) -> str | None:
        lookups, institutions = self._shapes.pop(entry.admitted, (1 << 32, 1 << 32))
        counts = np.zeros(256, np.int64)
        for column in answer_columns(decode_blocks(content)):
            counts += np.bincount(column.outcomes, minlength=256)
            if column.column >= institutions or (len(column.positions) and int(column.positions.max()) >= lookups):
                return "the material has answers to what was not asked"
        if entry.status != "OK":  # an answer may have been given to the transport, and not have reached the caller
            return None
        told = {name: count for name, count in entry.outcomes.items() if count}
        found = {Outcome(code).name: int(counts[code]) for code in np.flatnonzero(counts).tolist()}
        return None if told == found else "the material has other answers than the entry counts"
