"""The keys of an audit log, in one file of two lines.

    signing 64 hexadecimal digits
    sealing 64 hexadecimal digits

The first signs checkpoints (Ed25519). From the second follow the key that seals material, and the one that subjects'
commitments are made with. A copy without the first line is enough to find out who asked about whom, and cannot sign
anything. All logs of a broker share the file.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit.sealing import Sealer
from broker.core.subjects.key import Keyer
from broker.errors import AuditError
from broker.private_file import PrivateFileError, make_private, read_private

_LINES = re.compile(r"(?:signing ([0-9a-f]{64})\n)?sealing ([0-9a-f]{64})\n?")


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """The keys of an audit log. Shows none of them."""

    _signing: bytes | None = field(repr=False)
    _sealing: bytes = field(repr=False)

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints. Raises `AuditError` if this is a copy without it."""
        if self._signing is None:
            raise AuditError("the audit key file has no line that begins with signing: it can only open what is sealed")
        return Ed25519PrivateKey.from_private_bytes(self._signing)

    def sealer(self) -> Sealer:
        """What seals and opens material."""
        return Sealer(self._derived(b"audit sealing"))

    def keyer(self) -> Keyer:
        """What makes subjects' commitments."""
        return Keyer(self._derived(b"audit subjects"))

    def _derived(self, purpose: bytes) -> bytes:
        return blake2b(key=self._sealing, digest_size=32, person=purpose).digest()


def parse_keys(text: str) -> AuditKeys:
    """The keys in the text of a key file. Raises `ValueError` with a message that does not show the text."""
    match = _LINES.fullmatch(text)
    if match is None:
        raise ValueError("does not consist of the lines signing and sealing; restore it from its backup")
    signing, sealing = match.groups()
    return AuditKeys(bytes.fromhex(signing) if signing else None, bytes.fromhex(sealing))


def load_keys(path: Path, *, make: bool = False) -> AuditKeys:
    """The keys in a file. `make`: make the file if there is none. Raises `AuditError`."""
    try:
        if make and not path.exists():
            make_private(path, f"signing {secrets.token_hex(32)}\nsealing {secrets.token_hex(32)}\n".encode())
        return parse_keys(read_private(path).decode("ascii"))
    except (PrivateFileError, ValueError) as error:  # UnicodeDecodeError is a ValueError, and shows what it read
        reason = "is not text" if isinstance(error, UnicodeDecodeError) else str(error)
        msg = f"audit key file {path}: {reason}"
        raise AuditError(msg) from None
