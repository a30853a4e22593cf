"""Which call last answered a question: a map from 64-bit keys to call numbers, for tens of millions of keys.

An open-addressing hash table in two arrays takes 12 bytes a slot, where a dict of Python's takes a hundred an entry.
Keys are kept whole and compared whole, so two keys are never taken for one.

A full table is replaced, but not at one go, which would stop the server for seconds: each time keys come, a stretch of
the old table moves. Until all has moved both are read, and the new one is right where they differ. What is out of date
stays behind, so a table holds what was answered within one lifetime, and what has come since it was made.
"""

import numpy as np
from numpy.typing import NDArray

from mock_institutions.mixing import mixed_all

Keys = NDArray[np.uint64]
Calls = NDArray[np.int64]

NEVER = -1

_EMPTY = 0
_SMALLEST = 1024  # slots: 12 kB, since there may be hundreds of institutions
_FULL = 0.7  # of a table; above that, runs of taken slots grow fast (Knuth, TAOCP 3, section 6.4)
_ROOM = 2.2  # slots of a new table for each key that moves there: it begins less than half full
_STRIDE = 8  # slots that move for each key that comes: done long before the new table is full in its turn


class _Table:
    """Slots, each with a key and a call; a key is in the first slot from its own on that it finds free."""

    def __init__(self, slots: int) -> None:
        self.keys = np.zeros(slots, dtype=np.uint64)
        self.calls = np.zeros(slots, dtype=np.uint32)
        self.taken = 0

    @property
    def slots(self) -> int:
        return len(self.keys)

    def locate(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For each key the slot it is in, or else the free one it would go to; and whether it is there."""
        # A hash of 32 bits scaled to the slots; so slots in order are hashes in order, and a table moves sequentially.
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
        """Set the calls of different keys; gives those before, or `NEVER`."""
        places, known = self.locate(keys)
        before = np.where(known, self.calls[places].astype(np.int64), NEVER)
        self.taken += len(keys) - int(np.count_nonzero(known))
        self._put(keys, calls, places)
        return before

    def add(self, keys: Keys, calls: Calls) -> None:
        """Set the calls of those keys that are not there yet."""
        places, known = self.locate(keys)
        missing = ~known
        self.taken += int(np.count_nonzero(missing))
        self._put(keys[missing], calls[missing], places[missing])

    def _put(self, keys: Keys, calls: Calls, places: NDArray[np.int64]) -> None:
        while keys.size:
            # Of two keys that go for the same free slot the last one gets it; the others try again.
            self.keys[places], self.calls[places] = keys, calls
            lost = np.flatnonzero(self.keys[places] != keys)
            keys, calls = keys[lost], calls[lost]
            places, _ = self.locate(keys)


class LastCalls:
    """The last call of each key. Keys are not 0; calls are numbered upwards from 0, below 2^32."""

    def __init__(self) -> None:
        self._table = _Table(_SMALLEST)
        self._old: _Table | None = None
        self._moved = 0

    @property
    def bytes(self) -> int:
        """What it takes at present."""
        tables = [self._table] + ([self._old] if self._old else [])
        return sum(table.keys.nbytes + table.calls.nbytes for table in tables)

    def swap(self, keys: Keys, calls: Calls, *, horizon: int) -> Calls:
        """Set the last calls of different keys; gives those before, or `NEVER`.

        What was last called before call number `horizon` may be forgotten, and then is `NEVER`.
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
        """Begin a new table, with room for what is still good, and for what comes while that moves."""
        if self._old:  # cannot be, unless more keys come at a time than ever before
            self._move(self._old, self._old.slots, horizon)
        old = self._table
        good = int(np.count_nonzero((old.keys != _EMPTY) & (old.calls >= horizon)))
        slots = _ROOM * (good + coming) + old.slots / _STRIDE / _FULL
        self._table, self._old, self._moved = _Table(max(_SMALLEST, int(slots))), old, 0

    def _move(self, old: _Table, slots: int, horizon: int) -> None:
        """Move what is in the next `slots` of the old table; but not what is out of date, nor what has come anew."""
        stretch = slice(self._moved, self._moved + slots)
        keys, calls = old.keys[stretch], old.calls[stretch]
        good = (keys != _EMPTY) & (calls >= horizon)
        self._table.add(keys[good], calls[good].astype(np.int64))
        self._moved += slots
        if self._moved >= old.slots:
            self._old = None
