"""The cache key of a subject: a keyed hash of its type, number and name, so that the file does not reveal the debtors.

The name is part of the key, so an answer given about one name is never served for another. The hash is AES-256-CMAC
(NIST SP 800-38B), because AES can process a whole batch at a time: the n-th blocks of all messages are encrypted in one
call, which costs a third of one keyed BLAKE2 per subject.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from numpy.typing import NDArray

SIZE = 16
"""Bytes. The probability that any two of a billion subjects have the same key is 1.5e-21."""
SEPARATOR = 0x1F
"""Separates number and name; does not occur in valid numbers and names."""

_FEW = 16  # messages; up to here, hashing them one by one costs less than numpy's fixed cost of about 60 microseconds
_POLYNOMIAL = 0x87  # of the field with 2^128 elements (SP 800-38B, 5.3)


class SubjectMessages(NamedTuple):
    """The messages to hash: one per row, padded with zeros.

    A message consists of type (one byte), number, separator, name.
    """

    rows: NDArray[np.uint8]
    """Shape (messages, width); wider than the longest message."""
    lengths: NDArray[np.int64]


def _fill(messages: Sequence[bytes]) -> SubjectMessages:
    width = max(map(len, messages)) + 1
    joined = b"".join([message.ljust(width, b"\0") for message in messages])
    lengths = np.fromiter(map(len, messages), np.int64, len(messages))
    return SubjectMessages(np.frombuffer(joined, np.uint8).reshape(-1, width), lengths)


def _messages(types: Iterable[int], numbers: Iterable[str], names: Iterable[str]) -> list[bytes]:
    return [
        b"%c%b\x1f%b" % (subject_type, number.encode("utf-8", "replace"), name.encode("utf-8", "replace"))
        for subject_type, number, name in zip(types, numbers, names, strict=True)
    ]


class Keyer:
    """Computes the keys of subjects from one secret."""

    __slots__ = ("_cmac", "_encrypt", "_encrypt_commitments", "_masks")

    def __init__(self, secret: bytes) -> None:
        key = blake2b(secret, digest_size=32).digest()
        self._cmac = CMAC(algorithms.AES(key))
        # ECB encrypts each block independently: the chaining of CMAC is done here, for all messages at once.
        self._encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305
        whole = _doubled(self._encrypt(bytes(SIZE)))
        commitments = blake2b(secret, digest_size=32, person=b"of commitments").digest()
        self._encrypt_commitments = Cipher(algorithms.AES(commitments), modes.ECB()).encryptor().update  # noqa: S305
        self._masks = np.frombuffer(whole + _doubled(whole), np.uint8).reshape(2, SIZE)

    def keys(self, types: Iterable[int], numbers: Iterable[str], names: Iterable[str]) -> list[bytes]:
        """The keys of normalised subjects, given as columns of equal length."""
        messages = _messages(types, numbers, names)
        return self.keys_of(_fill(messages)) if len(messages) > _FEW else list(map(self._key, messages))

    def _key(self, message: bytes) -> bytes:
        state = self._cmac.copy()
        state.update(message)
        return state.finalize()

    def keys_of(self, messages: SubjectMessages) -> list[bytes]:
        """The key of each message."""
        return _cut(self.joined_keys_of(messages))

    def of_commitments(self, commitments: bytes) -> list[bytes]:
        """The keys of subjects of which only commitments are given: keys that another keyer has made, joined.

        They take one block of AES each, not one for every 16 bytes of number and name.
        """
        return _cut(self._encrypt_commitments(commitments))

    def joined_keys_of(self, messages: SubjectMessages) -> bytes:
        """The keys of all messages, joined."""
        count = len(messages.lengths)
        blocks, last = self._blocks(messages)
        state = np.zeros((count, SIZE), np.uint8)
        for number in range(blocks.shape[1]):
            chained = self._encrypt((state ^ blocks[:, number]).tobytes())
            done = (last < number)[:, None]
            state = np.where(done, state, np.frombuffer(chained, np.uint8).reshape(count, SIZE))
        return state.tobytes()

    def _blocks(self, messages: SubjectMessages) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The padded and masked blocks, shape (messages, blocks, 16), and the index of each message's last block."""
        rows, lengths = messages
        count, width = rows.shape
        every = np.arange(count)
        last = (lengths - 1) // SIZE
        most = -(-width // SIZE)
        padded = np.zeros((count, most * SIZE), np.uint8)
        padded[:, :width] = rows
        unfilled = lengths % SIZE != 0
        padded[every[unfilled], lengths[unfilled]] = 0x80
        blocks = padded.reshape(count, most, SIZE)
        blocks[every, last] ^= self._masks[unfilled.astype(np.intp)]
        return blocks, last


def _cut(joined: bytes) -> list[bytes]:
    return [joined[at : at + SIZE] for at in range(0, len(joined), SIZE)]


def _doubled(block: bytes) -> bytes:
    """The block multiplied by x in the field with 2^128 elements."""
    value = int.from_bytes(block, "big") << 1
    if value >> 8 * SIZE:
        value = value & (1 << 8 * SIZE) - 1 ^ _POLYNOMIAL
    return value.to_bytes(SIZE, "big")
