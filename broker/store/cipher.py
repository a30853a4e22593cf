"""Encrypts records at rest: the file on disk discloses nothing, and a record under a wrong key cannot be read.

Each record is sealed with AES-256-GCM under a key that belongs to one store file, with the subject's key as associated
data: a record that was damaged, or that stands under another subject's key, fails to open instead of being served.

A nonce must never repeat under one key (NIST SP 800-38D, 8.2). It is a prefix of 64 bits, drawn at random each time the
file is opened, and a counter of 32 bits; after 2^32 records, a day at 50,000 records a second, another prefix is drawn.
Neither is stored, so no nonce is repeated when the folder is restored from a snapshot or copied. Two openings share a
nonce only if they drew the same prefix. The probability of that is below n^2 / 2^65 for n prefixes:
2^-32 for 90,000 prefixes, which are enough for 3.9 * 10^14 records. The nonce stands before each record.

The other bound on a key is the amount of data. In a year, at 50,000 records of 300 bytes a second, some 2^45 blocks of
AES are encrypted; the advantage that gives an attacker over random bytes is below 2^-38 (the square, over 2^129).

AES-GCM-SIV, which tolerates repeated nonces, takes 1.3 µs more to open a record of 300 bytes: a fifth of a whole hit.
"""

import secrets
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12  # bytes
_PREFIX, _COUNTER = 64, 32  # bits of it
_UNREADABLE = (InvalidTag, ValueError)  # ValueError: too short to be anything

Buffer = bytes | memoryview
Span = tuple[bytes, Buffer, int, int | None]
"""A subject's key, and where the record sealed for it is: a buffer, start and end."""


def derive(master: bytes, purpose: bytes, salt: bytes = b"") -> bytes:
    """A key of 32 bytes for one purpose (16 bytes at most) and salt (16 at most), from the master key."""
    return blake2b(key=master, digest_size=32, person=purpose, salt=salt).digest()


class Cipher:
    """Seals records of one store file with one key, and opens what that or an older key has sealed.

    State: the nonces drawn; which key has opened the last record that was tried by itself; how many older keys opened.
    """

    __slots__ = ("_aead", "_keys", "_latest", "_left", "_next", "older")

    def __init__(self, key: bytes, *older: bytes) -> None:
        self._aead = AESGCM(key)
        self._keys = [self._aead, *map(AESGCM, older)]
        self._latest = self._aead
        self._next = self._left = 0
        self.older = 0
        """How often an older key has opened a record."""

    def seal(self, key: bytes, record: Buffer) -> bytes:
        """The record, to be kept under the subject's key. Not safe to call from two threads at once."""
        return self.seal_many([key], [record])[0]

    def seal_many(self, keys: Sequence[bytes], records: Sequence[Buffer]) -> list[bytes]:
        """The records, each to be kept under its subject's key. Not safe to call from two threads at once."""
        nonces = self._draw(len(keys))
        encrypt = self._aead.encrypt
        return [nonce + encrypt(nonce, record, key) for nonce, record, key in zip(nonces, records, keys, strict=True)]

    def _draw(self, count: int) -> list[bytes]:
        """So many nonces that were never used. At most 2^32 at a time."""
        if count > self._left:
            self._next, self._left = secrets.randbits(_PREFIX) << _COUNTER, 1 << _COUNTER
        first, self._next, self._left = self._next, self._next + count, self._left - count
        return [number.to_bytes(_NONCE, "big") for number in range(first, self._next)]

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
        except _UNREADABLE:  # at least one is not what it should be, or under an older key: find out which
            return [self._try_open(span) for span in spans]

    def _try_open(self, span: Span) -> bytes | None:
        """Tries the key first that has opened the last one: what was written together lies together."""
        key, held, start, end = span
        for aead in (self._latest, *(each for each in self._keys if each is not self._latest)):
            try:
                record = aead.decrypt(held[start : start + _NONCE], held[start + _NONCE : end], key)
            except _UNREADABLE:
                continue
            self._latest = aead
            self.older += aead is not self._aead
            return record
        return None
