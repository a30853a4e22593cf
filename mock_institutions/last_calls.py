"""A map from 64-bit keys of questions to the number of the call that last answered them, for tens of millions of keys.

It is an open-addressing hash table in two arrays, which takes 12 bytes per slot, while a Python dict takes about a
hundred per entry. Keys are stored and compared completely, so different keys are never confused.

A full table is replaced by a new one. Copying it at once would block the server for seconds, so each update moves a
part of the old table. Until all of it has moved, both tables are read, and the new one takes precedence. Expired
entries are not moved. A table therefore contains the entries of one TTL, and those added since the table was created.
"""

import numpy as np
from numpy.typing import NDArray

from mock_institutions.mixing import mixed_all

Keys = NDArray[np.uint64]
Calls = NDArray[np.int64]

NEVER = -1

_EMPTY = 0
_SMALLEST = 1024  # slots: 12 kB, since there may be hundreds of institutions
_FULL = 0.7  # load factor; above it, runs of occupied slots become long quickly (Knuth, TAOCP 3, section 6.4)
_ROOM = 2.2  # slots of a new table per key that moves there, so that it is less than half full at first
_STRIDE = 8  # slots that move per new key, so that the move ends long before the new table is full


class _Table:
    """A table with linear probing: a key is in the first slot from its hash on that was free."""

    def __init__(self, slots: int) -> None:
        self.keys = np.zeros(slots, dtype=np.uint64)
        self.calls = np.zeros(slots, dtype=np.uint32)
        self.taken = 0

    @property
    def slots(self) -> int:
        return len(self.keys)

    def locate(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For each key, its slot or the free slot where it would be inserted; and whether it is in the table."""
        # A 32-bit hash scaled to the number of slots. Slots are thus ordered by hash, and a table moves sequentially.
        hashes = mixed_all(keys) >> np.uint64(32)
        places = (hashes * np.uint64(self.slots) >> np.uint64(32)).astype(np.int64)
        there = self.keys[places]
        searching = np.flatnonzero((there != keys) & (there != _EMPTY))
        while searching.size:
            onward = places[searching] + 1
            onward[onward == self.slots] = 0
            places[searching] = onward
            met = self.keys[onward]
            there[searching] = met
            searching = searching[(met != keys[searching]) & (met != _EMPTY)]
        return places, there == keys

    def get(self, keys: Keys) -> Calls:
        """The call of each key, or `NEVER`."""
        places, known = self.locate(keys)
        return np.where(known, self.calls[places].astype(np.int64), NEVER)

    def swap(self, keys: Keys, calls: Calls) -> Calls:
        """Sets the calls of distinct keys. Returns the previous calls, or `NEVER`."""
        places, known = self.locate(keys)
        before = np.where(known, self.calls[places].astype(np.int64), NEVER)
        self.taken += len(keys) - int(np.count_nonzero(known))
        self._put(keys, calls, places)
        return before

    def add(self, keys: Keys, calls: Calls) -> None:
        """Sets the calls of those keys that are not in the table yet."""
        places, known = self.locate(keys)
        missing = ~known
        self.taken += int(np.count_nonzero(missing))
        self._put(keys[missing], calls[missing], places[missing])

    def _put(self, keys: Keys, calls: Calls, places: NDArray[np.int64]) -> None:
        while keys.size:
            # Of several keys with the same free slot, the last one gets it; the others try again.
            self.keys[places], self.calls[places] = keys, calls
            lost = np.flatnonzero(self.keys[places] != keys)
            keys, calls = keys[lost], calls[lost]
            places, _ = self.locate(keys)


class LastCalls:
    """The last call of each key. Keys must not be 0. Calls are numbered from 0, below 2^32."""

    def __init__(self) -> None:
        self._table = _Table(_SMALLEST)
        self._old: _Table | None = None
        self._moved = 0

    @property
    def bytes(self) -> int:
        """The memory in use."""
        tables = [self._table] + ([self._old] if self._old else [])
        return sum(table.keys.nbytes + table.calls.nbytes for table in tables)

    def swap(self, keys: Keys, calls: Calls, *, horizon: int) -> Calls:
        """Sets the last calls of distinct keys. Returns the previous calls, or `NEVER`.

        Keys whose last call is before call number `horizon` may be dropped, and are `NEVER` then.
        """
        if self._table.taken + len(keys) > _FULL * self._table.slots:
            self._replace(len(keys), horizon)
        before = self._table.swap(keys, calls)
        if self._old:
            unknown = np.flatnonzero(before == NEVER)
            before[unknown] = self._old.get(keys[unknown])
            self._move(self._old, len(keys) * _STRIDE, horizon)
        return before

    def _replace(self, coming: int, horizon: int) -> None:
        """Creates a new table, with room for the valid entries and for those that are added while they move."""
        if self._old:  # impossible, unless one update has more keys than ever before
            self._move(self._old, self._old.slots, horizon)
        old = self._table
        good = int(np.count_nonzero((old.keys != _EMPTY) & (old.calls >= horizon)))
        slots = _ROOM * (good + coming) + old.slots / _STRIDE / _FULL
        self._table, self._old, self._moved = _Table(max(_SMALLEST, int(slots))), old, 0

    def _move(self, old: _Table, slots: int, horizon: int) -> None:
        """Moves the next `slots` of the old table, except expired entries and keys already in the new table."""
        stretch = slice(self._moved, self._moved + slots)
        keys, calls = old.keys[stretch], old.calls[stretch]
        good = (keys != _EMPTY) & (calls >= horizon)
        self._table.add(keys[good], calls[good].astype(np.int64))
        self._moved += slots
        if self._moved >= old.slots:
            self._old = None
