"""Encryption of records at rest: the file on disk tells nobody anything, and a wrong record cannot be read.

Each record is sealed with AES-256-GCM under a key that belongs to one store file, with the subject's key as associated
data: a record that was damaged, or that stands under another subject's key, fails to open instead of being served.

A nonce must never repeat under one key. It is an epoch, which the store counts up durably each time it is opened for
writing, and a counter of the records sealed since (NIST SP 800-38D, 8.2.1, deterministic construction).
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_UNREADABLE = (InvalidTag, ValueError)  # ValueError: too short to be anything

Buffer = bytes | memoryview
Span = tuple[bytes, Buffer, int, int | None]
"""A subject's key, and what was sealed for it: a buffer, from where, to where."""


def derive(master: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    """A key of 32 bytes for one purpose (16 bytes at most) and salt (16 at most), from the master key."""
    return blake2b(key=master, digest_size=32, person=purpose, salt=salt).digest()


class Cipher:
    """Seals and opens records of one store file."""

    __slots__ = ("_aead", "_next")

    def __init__(self, key: bytes, epoch: int) -> None:
        self._aead = AESGCM(key)
        self._next = epoch << 64  # epoch and counter, of 4 and 8 bytes

    def seal(self, key: bytes, record: Buffer) -> bytes:
        """The record, to be kept under the subject's key. Not safe to call from two threads at once."""
        return self.seal_many([key], [record])[0]

    def seal_many(self, keys: Sequence[bytes], records: Sequence[Buffer]) -> list[bytes]:
        """The records, each to be kept under its subject's key. Not safe to call from two threads at once."""
        first, self._next = self._next, self._next + len(keys)
        nonces = [number.to_bytes(_NONCE, "big") for number in range(first, self._next)]
        encrypt = self._aead.encrypt
        return [nonce + encrypt(nonce, record, key) for nonce, record, key in zip(nonces, records, keys, strict=True)]

    def open(self, key: bytes, sealed: bytes) -> bytes | None:
        """The record kept under the subject's key; None if what was kept is not that."""
        return self.open_many([(key, sealed, 0, None)])[0]

    def open_many(self, spans: Iterable[Span]) -> list[bytes | None]:
        """The records kept under subjects' keys; None where what was kept is not that."""
        decrypt, spans = self._aead.decrypt, list(spans)
        try:
            return [
                decrypt(held[start : start + _NONCE], held[start + _NONCE : end], key)
                for key, held, start, end in spans
            ]
        except _UNREADABLE:  # at least one is not what it should be: find out which
            return [self._try_open(span) for span in spans]

    def _try_open(self, span: Span) -> bytes | None:
        key, held, start, end = span
        try:
            return self._aead.decrypt(held[start : start + _NONCE], held[start + _NONCE : end], key)
        except _UNREADABLE:
            return None
