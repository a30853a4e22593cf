"""The keys of the cache: the first one seals, all open, so that a key is replaced while the broker serves.

    index 64 hexadecimal digits
    2026-11 64 hexadecimal digits
    2025-11 64 hexadecimal digits

Each line has a name and a key. Blank lines, and lines that begin with #, are left out. The line `index` has the key
that the keys of subjects are computed with. It stays the same when the others are replaced: with another one, no record
would be found any more, and workers that are replaced one by one would not agree on a subject's owner. Who has it, and
the disk, can find out whether the cache holds something about somebody he names, and nothing else; to replace it as
well is to begin a new cache. A ring of one key needs no such line, nor a name: the key of subjects is derived from it.

A key is replaced in two steps, since no worker may seal with what another one cannot open yet: it is added at the end
and the broker reloads; then it is moved to the front and the broker reloads again (`check_change`). Records under the
old key are read until they expire, and sealed with the new one when they are renewed.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from broker.store.cipher import derive

KEY_SIZE = 32
"""Bytes."""
_INDEX = "index"
_ONLY = "1"  # name of a key that has none
_MOST = 8  # keys; each one more is tried on every record that cannot be opened
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_LINE = re.compile(rf"(?:(\S+)\s+)?([0-9A-Fa-f]{{{2 * KEY_SIZE}}})")


class KeyRingError(Exception):
    """It is no key ring, or cannot be changed so. The message says why, and shows no key."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key, which is not shown."""

    name: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys, and the one of subjects."""

    keys: tuple[NamedKey, ...]
    """The first one seals."""
    index: bytes = field(repr=False)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The keys without their names, in the same order."""
        return tuple(key.secret for key in self.keys)

    @property
    def names(self) -> list[str]:
        """The names of the keys, in the same order."""
        return [key.name for key in self.keys]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ring in a text. Raises `KeyRingError`."""
        lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
        named = [_parsed(line, number) for number, line in enumerate(lines, start=1)]
        index = [key.secret for key in named if key.name == _INDEX]
        keys = tuple(key for key in named if key.name != _INDEX)
        if not keys:
            raise KeyRingError(
                f"holds no key: {2 * KEY_SIZE} hexadecimal digits are needed; restore it from its backup"
            )
        names = [key.name for key in keys]
        if len(set(names)) < len(names) or len({key.secret for key in keys}) < len(keys) or len(index) > 1:
            raise KeyRingError("a name or a key comes twice; remove one of the lines")
        if len(keys) > _MOST:
            raise KeyRingError(f"holds {len(keys)} keys, at most {_MOST} are allowed; remove the oldest")
        if len(keys) > 1 and not index:
            raise KeyRingError(f"several keys need a line `{_INDEX}`; add keys with: broker keys add")
        return cls(keys, index[0] if index else derive(keys[0].secret, b"index"))

    def text(self) -> str:
        """The same as text, as `parse` reads it."""
        lines = [f"{_INDEX} {self.index.hex()}", *(f"{key.name} {key.secret.hex()}" for key in self.keys)]
        return "".join(f"{line}\n" for line in lines)

    def with_added(self, key: NamedKey) -> Self:
        """With another key that opens, and does not seal yet. Raises `KeyRingError`."""
        return self._checked((*self.keys, key))

    def with_sealing(self, name: str) -> Self:
        """With the key of this name as the one that seals. Raises `KeyRingError`."""
        first = self._find(name)
        return self._checked((first, *(key for key in self.keys if key != first)))

    def without(self, name: str) -> Self:
        """Without the key of this name. Raises `KeyRingError`."""
        gone = self._find(name)
        if gone == self.keys[0]:
            raise KeyRingError(f"{name} seals: have another key seal first")
        return self._checked(tuple(key for key in self.keys if key != gone))

    def _find(self, name: str) -> NamedKey:
        for key in self.keys:
            if key.name == name:
                return key
        raise KeyRingError(f"there is no key {name}; there are {', '.join(self.names)}")

    def _checked(self, keys: tuple[NamedKey, ...]) -> Self:
        changed = replace(self, keys=keys)
        type(self).parse(changed.text())
        return changed


def new_ring(name: str) -> KeyRing:
    """A ring of one new key."""
    key = NamedKey(name, secrets.token_bytes(KEY_SIZE))
    return KeyRing((key,), derive(key.secret, b"index"))


def check_change(running: KeyRing, new: KeyRing) -> Iterator[str]:
    """Why workers with these two rings cannot serve beside each other; nothing if they can."""
    if new.index != running.index:
        yield "another key of subjects (index) takes effect only when the broker is restarted, with an empty cache"
    if new.keys[0].secret not in running.secrets:
        yield (
            f"{new.keys[0].name} is new and would seal what running workers cannot open; add it at the end and reload,"
            " then move it to the front and reload again"
        )
    if running.keys[0].secret not in new.secrets:
        yield f"{running.keys[0].name} still seals; keep it in the ring until another key has sealed for a while"


def _parsed(line: str, number: int) -> NamedKey:
    """The key in a line that is not blank. Raises `KeyRingError`."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise KeyRingError(
            f"line {number} does not consist of a name and {2 * KEY_SIZE} hexadecimal digits; restore it from a backup"
        )
    name = match[1] or _ONLY
    if not _NAME.fullmatch(name):
        raise KeyRingError(f"the name of line {number} has other characters than a-z, A-Z, 0-9 . _ -, or is too long")
    return NamedKey(name, bytes.fromhex(match[2]))
