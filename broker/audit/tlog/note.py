"""Signed notes (C2SP signed-note) with Ed25519: a text, an empty line, and lines with a signer's name and signature."""

import base64
import re
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
"""The type of a signature over the text of a note."""
COSIGNATURE = 0x04
"""The type of a witness's signature over a checkpoint, which has a time (C2SP tlog-cosignature)."""

_DASH = "— "
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}")
_ID_SIZE, _SIGNATURE_SIZE = 4, 64
_TIME_SIZE = 8


def encode_base64(raw: bytes) -> str:
    """Base64 with padding."""
    return base64.b64encode(raw).decode("ascii")


def decode_base64(text: str) -> bytes:
    """The inverse. Raises `ValueError` for anything but the one encoding of some bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("is not Base64") from None
    if encode_base64(raw) != text:
        raise ValueError("is not canonical Base64")
    return raw


class NoteSignature(NamedTuple):
    """A line with a signature."""

    name: str
    key_id: bytes
    value: bytes


class Note(NamedTuple):
    """A text and its signatures."""

    text: str
    """Ends with a line break."""
    signatures: tuple[NoteSignature, ...]


class VerifierKey(NamedTuple):
    """The public key of a signer, with the name it signs under."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes by which signature lines refer to the key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:_ID_SIZE]

    def __str__(self) -> str:
        """The key as text."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.kind]) + self.public)}"

    def named(self, name: str) -> "VerifierKey":
        """The same key under another name."""
        return self._replace(name=name)

    def verifies(self, note: Note) -> bool:
        """Whether the note has a signature that was made with this key under this name."""
        key_id = self.key_id
        public = Ed25519PublicKey.from_public_bytes(self.public)
        for signature in note.signatures:
            if signature.name == self.name and signature.key_id == key_id:
                signed, value = self._signed(note.text, signature.value)
                try:
                    public.verify(value, signed)
                except InvalidSignature:
                    continue
                return True
        return False

    def _signed(self, text: str, value: bytes) -> tuple[bytes, bytes]:
        """What was signed, and the signature itself."""
        if self.kind == COSIGNATURE:
            time = int.from_bytes(value[:_TIME_SIZE], "big")
            return f"cosignature/v1\ntime {time}\n{text}".encode(), value[_TIME_SIZE:]
        return text.encode(), value


def is_name(name: str) -> bool:
    """Whether a text may be the name of a signer, or the origin of a log."""
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= 255


class NoteSigner:
    """Signs notes under one name."""

    __slots__ = ("_front", "_private", "key")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.key = VerifierKey(name, ED25519, private.public_key().public_bytes_raw())
        """The key that verifies the signatures."""
        self._private = private
        self._front = self.key.key_id

    def sign(self, text: str) -> str:
        """The note with this text, which ends with a line break."""
        value = self._front + self._private.sign(text.encode())
        return f"{text}\n{_DASH}{self.key.name} {encode_base64(value)}\n"


def parse_note(text: str) -> Note:
    """The note in a text. Raises `ValueError`."""
    head, separator, lines = text.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise ValueError("is no signed note")
    return Note(head + "\n", tuple(_parse_signature(line) for line in lines[:-1].split("\n")))


def _parse_signature(line: str) -> NoteSignature:
    name, _, value = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not is_name(name):
        raise ValueError("has a line that is no signature")
    raw = decode_base64(value)
    if len(raw) <= _ID_SIZE:
        raise ValueError("has a signature that is too short")
    return NoteSignature(name, raw[:_ID_SIZE], raw[_ID_SIZE:])


def parse_verifier_key(text: str) -> VerifierKey:
    """The key in a text such as name+id+key. Raises `ValueError`."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = decode_base64(encoded)
    if not is_name(name) or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
        raise ValueError("is no Ed25519 verifier key (name+id+key)")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.key_id.hex() != key_id:
        raise ValueError("has an id that does not belong to its name and key")
    return key
