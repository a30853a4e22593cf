"""The entries of an audit log. Each is one line of canonical JSON (RFC 8785): sorted keys, no blanks, UTF-8.

No entry shows a subject's name or number, nor anything from which they could be guessed. What an entry is about lies
beside it, sealed (`audit.sealing`); the entry has its digest. Texts that courts write freely stand in the clear only if
nothing in them looks like a subject's number; otherwise they are sealed, too (`withhold`).
"""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from broker.core.subjects.free_text import shows_number

MAX_SIZE = 65_535
"""Bytes of an entry (C2SP tlog-tiles)."""
BEFORE = -1
"""In place of an index: that of the entry just before."""
WITHHELD = "withheld"
"""Stands for a text that is sealed."""

_FREE = ("request_id", "officer", "case_number", "legal_document", "reason")
_LONGEST = 400  # characters of a free text, as in `core.subjects.mandate`; longer ones are refused there
_MOST_NAMES = 64  # of an identity; 64 * 255 characters are within the size of an entry


class MaterialDigest(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed beside an entry. It precedes the entry in the journal."""

    sha256: str
    """Of the sealed bytes, in hexadecimal digits: it can be checked without any key."""
    size: int
    """Sealed bytes."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over the bytes of a request."""

    key: str
    """The public key that it was verified with, in Base64."""
    value: str
    """In Base64."""

    @classmethod
    def of(cls, key: bytes, value: bytes) -> "Signature":
        """The signature of so many raw bytes."""
        return cls(key=base64.b64encode(key).decode(), value=base64.b64encode(value).decode())


class _LogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What all entries have."""

    time: int = 0
    """Milliseconds since the epoch. The log sets it when it writes the entry."""
    material: MaterialDigest | None = None
    """The log sets it, if anything is sealed beside the entry."""


class Started(_LogEntry, tag="started", frozen=True, kw_only=True):
    """The log was opened."""

    version: str
    """Of the broker."""
    cut_bytes: int = 0
    """What was found after the last whole commit and removed: nobody was told that it was recorded."""
    sealed_under: str = ""
    """SHA-256 of the key that the material from here on is sealed under, in hexadecimal digits."""


class _Request(_LogEntry, frozen=True, kw_only=True):
    """What is known of a request."""

    method: str
    certificate: str = ""
    """SHA-256 of the peer's certificate (DER), in hexadecimal digits. Empty without TLS."""
    speaks_for: tuple[str, ...] = ()
    """Names of the certificate, at most 64 of them."""
    court: str = ""
    """Code of the court that asks."""
    officer: str = ""
    case_number: str = ""
    legal_document: str = ""
    request_id: str = ""
    withheld: bool = False
    """Whether some text is replaced by "withheld", and sealed."""
    lookups: int = 0
    institutions: int = 0
    request_sha256: str = ""
    """Of the bytes of the request, in hexadecimal digits."""
    signature: Signature | None = None


class Admitted(_Request, tag="admitted", frozen=True, kw_only=True):
    """A request was admitted. Nothing was asked or answered before this was durable."""


class Refused(_Request, tag="refused", frozen=True, kw_only=True):
    """A request was refused. It has what was known when it was refused."""

    status: str
    """gRPC status, such as PERMISSION_DENIED."""
    reason: str
    rule: str = ""
    """The rule of the policy, or the quota, that decided."""


class Ended(_LogEntry, tag="ended", frozen=True, kw_only=True):
    """An admitted request has ended. This was durable before its summary was sent."""

    admitted: int
    """Index of its entry in the same log. `BEFORE`: the log sets it, if both are recorded together."""
    status: str = "OK"
    """gRPC status."""
    reply_sha256: str = ""
    """Of the messages sent, in hexadecimal digits."""
    reports: int = 0
    outcomes: Mapping[str, int] = {}
    """Answers by outcome."""
    sources: Mapping[str, int] = {}
    """Answers by source."""
    elapsed_ms: int = 0


class Deleted(_LogEntry, tag="deleted", frozen=True, kw_only=True):
    """Old parts of the log are deleted after this, as its declared retention demands. Hashes and checkpoints stay."""

    before: int
    """Index of the first entry that is kept."""
    days: int
    """The declared retention."""


AuditEntry = Started | Admitted | Refused | Ended | Deleted

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(AuditEntry).decode


def encode_entry(entry: AuditEntry) -> bytes:
    """The bytes of an entry. Raises `ValueError` if they are too many."""
    encoded = _encode(entry)
    if len(encoded) > MAX_SIZE:
        msg = f"an entry of {len(encoded)} bytes is too large: at most {MAX_SIZE}"
        raise ValueError(msg)
    return encoded


def decode_entry(encoded: bytes) -> AuditEntry:
    """The entry of these bytes. Raises `ValueError` if they are none, or not in the canonical form."""
    entry = read_entry(encoded)
    if _encode(entry) != encoded:
        raise ValueError("is no entry in the canonical form")
    return entry


def read_entry(encoded: bytes) -> AuditEntry:
    """The same, in whatever form it is: its hash says which form was signed. Raises `ValueError`."""
    try:
        entry: AuditEntry = _decode(encoded)
    except msgspec.DecodeError as error:
        msg = f"is no entry: {error}"
        raise ValueError(msg) from None
    return entry


def withhold(entry: AuditEntry) -> tuple[AuditEntry, dict[str, str]]:
    """The entry as it may stand in the clear, and the texts to be sealed with it."""
    sealed: dict[str, str] = {}
    if isinstance(entry, Admitted | Refused):
        changed: dict[str, Any] = {}
        for name in _FREE:
            text = getattr(entry, name, "")
            if len(text) > _LONGEST or shows_number(text):
                sealed[name], changed[name] = text[:_LONGEST], WITHHELD
        if len(entry.speaks_for) > _MOST_NAMES:
            changed["speaks_for"] = entry.speaks_for[:_MOST_NAMES]
        if changed:
            entry = msgspec.structs.replace(entry, **changed, withheld=bool(sealed))
    return entry, sealed
