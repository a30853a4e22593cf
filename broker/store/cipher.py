"""Encryption of records at rest: the file on disk tells nobody anything, and a wrong record cannot be read.

Each record is sealed with AES-256-GCM under a key that belongs to one store file, with the subject's key as associated
data: a record that was damaged, or that stands under another subject's key, fails to open instead of being served.

A nonce must never repeat under one key. It is an epoch, which the store counts up durably each time it is opened for
writing, and a counter of the records sealed since (NIST SP 800-38D, 8.2.1, deterministic construction).
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_UNREADABLE = (InvalidTag, ValueError)  # ValueError: too short to be anything


def derive(master: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    """A key of 32 bytes for one purpose (16 bytes at most) and salt (16 at most), from the master key."""
    return blake2b(key=master, digest_size=32, person=purpose, salt=salt).digest()


class Cipher:
    """Seals and opens records of one store file."""

    __slots__ = ("_aead", "_counter", "_epoch")

    def __init__(self, key: bytes, epoch: int) -> None:
        self._aead = AESGCM(key)
        self._epoch = epoch.to_bytes(4, "big")
        self._counter = count()

    def seal(self, key: bytes, record: bytes) -> bytes:
        """The record, to be kept under the subject's key. Not safe to call from two threads at once."""
        nonce = self._epoch + next(self._counter).to_bytes(8, "big")
        return nonce + self._aead.encrypt(nonce, record, key)

    def open(self, key: bytes, sealed: bytes) -> bytes | None:
        """The record kept under the subject's key; None if what was kept is not that."""
        return self.open_many([(key, sealed)])[key]

    def open_many(self, found: Sequence[tuple[bytes, bytes]], *, skip: int = 0) -> dict[bytes, bytes | None]:
        """The records of pairs (key, sealed), by key, each after `skip` bytes that were never sealed."""
        decrypt = self._aead.decrypt
        at = skip + _NONCE
        try:
            return {key: decrypt(sealed[skip:at], sealed[at:], key) for key, sealed in found}
        except _UNREADABLE:  # at least one is damaged: find out which
            return {key: self._try_open(key, sealed[skip:at], sealed[at:]) for key, sealed in found}

    def _try_open(self, key: bytes, nonce: bytes, body: bytes) -> bytes | None:
        try:
            return self._aead.decrypt(nonce, body, key)
        except _UNREADABLE:
            return None
