"""The name under which the cache keeps a subject: a keyed hash, so that the file is no list of debtors.

Type, number and name all count: an answer given about one name is never served for another.
"""

from collections.abc import Iterable
from hashlib import blake2b

SIZE = 16
"""Bytes. Among a billion subjects two share a key with probability 1.5e-21."""


class Keyer:
    """Makes keys under one secret."""

    __slots__ = ("_state",)

    def __init__(self, secret: bytes) -> None:
        # Copying a prepared state is twice as fast as keying a new one.
        self._state = blake2b(key=secret, digest_size=SIZE)

    def keys(self, types: Iterable[int], numbers: Iterable[str], names: Iterable[str]) -> list[bytes]:
        """Keys of normalised subjects, given in columns. The separator occurs in no normalised number or name."""
        copy = self._state.copy
        out = []
        for subject_type, number, name in zip(types, numbers, names, strict=True):
            state = copy()
            state.update(f"{subject_type}\x1f{number}\x1f{name}".encode())
            out.append(state.digest())
        return out
