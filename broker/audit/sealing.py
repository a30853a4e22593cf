"""Seals material, so that it says nothing to whoever has the log and not the key.

    salt        16 bytes   random; from it and the sealing key follows the key of this blob alone
    commitment  32 bytes   SHA-256 of the blob's key: no second key opens the same bytes to something else
    sealed                 AES-256-GCM with a nonce of zeros, since each key seals once

So the key of a single blob can be disclosed, to prove what one request was about, and nothing else with it. A digest of
the whole can be checked by everybody. (AES-GCM alone does not commit to its key.)

What is sealed: u32 size of the texts, JSON of the texts, the rest.
"""

import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b, sha256
from struct import Struct
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SALT, _COMMITMENT, _TAG = 16, 32, 16
_NONCE = bytes(12)
_SIZE = Struct("<I")
OVERHEAD = _SALT + _COMMITMENT + _TAG
"""Bytes that sealing adds."""

decode_texts = msgspec.json.Decoder(dict[str, str]).decode


class Opened(NamedTuple):
    """What was sealed."""

    texts: Mapping[str, str]
    """Those withheld from the entry, by field."""
    content: bytes


class Sealer:
    """Seals and opens blobs under one key. Has no state; safe to use from several threads."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, texts: Mapping[str, str], pieces: Iterable[bytes | memoryview]) -> bytes:
        """The sealed bytes of texts and content, given in pieces."""
        encoded = msgspec.json.encode(texts)
        salt = os.urandom(_SALT)
        key = self.blob_key(salt)
        plain = b"".join((_SIZE.pack(len(encoded)), encoded, *pieces))
        return b"".join((salt, sha256(key).digest(), AESGCM(key).encrypt(_NONCE, plain, None)))

    def open(self, sealed: bytes) -> Opened:
        """What was sealed. Raises `ValueError` if it was sealed under another key, or is damaged."""
        return open_with(self.blob_key(sealed[:_SALT]), sealed)

    def blob_key(self, salt: bytes) -> bytes:
        """The key of the blob that begins with this salt."""
        return blake2b(salt, key=self._key, digest_size=32, person=b"audit blob").digest()

    def commitment(self) -> str:
        """What entries say of the key in use: in hexadecimal digits, and nothing can be opened with it."""
        return sha256(b"audit sealing key" + self._key).hexdigest()


def open_with(blob_key: bytes, sealed: bytes) -> Opened:
    """What was sealed in one blob, given the key of this blob. Raises `ValueError`."""
    if sha256(blob_key).digest() != sealed[_SALT : _SALT + _COMMITMENT]:
        raise ValueError("sealed under another key")
    try:
        plain = AESGCM(blob_key).decrypt(_NONCE, sealed[_SALT + _COMMITMENT :], None)
    except (InvalidTag, ValueError):
        raise ValueError("damaged: it cannot be opened") from None
    (size,) = _SIZE.unpack_from(plain)
    end = _SIZE.size + size
    return Opened(decode_texts(plain[_SIZE.size : end]), plain[end:])
