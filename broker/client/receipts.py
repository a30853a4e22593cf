"""Receipts: what a broker gives a court to prove later what was recorded of its requests."""

import base64
from dataclasses import dataclass

from broker.v1 import investigation_pb2 as pb

_FORMAT = "c2sp.org/tlog-proof@v1\n"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The entry that a broker's audit log has of a request, and the proof of it. One for each call of a batch."""

    log: str
    """The name under which the log signs."""
    index: int
    entry: bytes
    """JSON: when the request ended, what its answers were, and the digest of the reply. It names no subject."""
    proof: str

    @classmethod
    def of(cls, message: pb.Receipt) -> "Receipt":
        """The receipt in a summary."""
        return cls(message.log, message.index, message.entry, message.proof)

    @property
    def text(self) -> str:
        """Entry and proof in one text, to be kept as a file (C2SP tlog-proof).

        `broker audit prove --check FILE --key KEY` checks it with nothing but the log's public key.
        """
        extra = base64.b64encode(self.entry).decode()
        return f"{_FORMAT}extra {extra}\n{self.proof.removeprefix(_FORMAT)}"
