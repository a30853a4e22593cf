"""Counts duplicates: questions that were asked again although their last answer was still valid. The count is exact.

A question is identified by a 64-bit key, and `LastCalls` maps it to the call that last answered it. A question is a
duplicate if that call was answered less than one lifetime before.
"""

from array import array

import numpy as np

from mock_institutions.dialect import Inquiries
from mock_institutions.findings import Findings
from mock_institutions.last_calls import NEVER, Calls, Keys, LastCalls

# Keys that are hashes have the top bit set; keys that are ordinals are far below.
_HASHED = 1 << 63
_HASH_MASK = _HASHED - 1

_AT_ONCE = 8192  # keys that are looked up together, in a millisecond or two
_NO_HORIZON = 1 << 62  # above every call's number


def question_keys(inquiries: Inquiries, findings: Findings) -> Keys:
    """The keys of all questions that were answered FOUND or NOT_FOUND. Equal questions have equal keys.

    The key of a person of the population is derived from the ordinal, so no two persons have the same key. Other keys
    are 63-bit hashes below the top bit. Among 10^7 of them, two are equal with a probability of 1 in 10^5.
    """
    keys = findings.persons.view(np.uint64) + np.uint64(1)  # 0 for all others
    others = np.flatnonzero(keys == 0)
    if others.size:
        asked = list(zip(inquiries.subject_types, inquiries.numbers, inquiries.names, strict=True))
        for row in others.tolist():
            keys[row] = 0 if row in findings.refusals else hash(asked[row]) & _HASH_MASK | _HASHED
        keys = keys[keys != 0]
    return keys


class Repeats:
    """Counts duplicates in the order of the answers.

    Calls are first collected, then looked up together, which makes numpy's fixed cost negligible.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._counted = 0
        self._last_calls = LastCalls()
        self._times = array("d")  # of each call from `_forgotten` on
        self._forgotten = 0
        self._horizon = 0  # the first call whose answers are valid now
        self._noted: list[tuple[Keys, int, int]] = []  # keys, call, and the horizon of that call
        self._size = 0

    def add(self, keys: Keys, *, is_first_attempt: bool, now: float) -> None:
        """Adds an answered call. Repeating a failed call is not a duplicate."""
        call = self._forgotten + len(self._times)
        self._times.append(now)
        while self._times[self._horizon - self._forgotten] <= now - self._lifetime:
            self._horizon += 1
        self._noted.append((keys, call, self._horizon if is_first_attempt else _NO_HORIZON))
        self._size += len(keys)
        if self._size >= _AT_ONCE or len(self._noted) >= _AT_ONCE:
            self._look_up()

    def count(self) -> int:
        """The number of duplicates so far."""
        if self._noted:
            self._look_up()
        return self._counted

    def _look_up(self) -> None:
        columns, calls, horizons = zip(*self._noted, strict=True)
        sizes = list(map(len, columns))
        keys = np.concatenate(columns)
        self._counted += self._repeated(keys, np.repeat(calls, sizes), np.repeat(horizons, sizes))
        self._noted, self._size = [], 0
        if self._horizon - self._forgotten > len(self._times) // 2:
            del self._times[: self._horizon - self._forgotten]
            self._forgotten = self._horizon

    def _repeated(self, keys: Keys, calls: Calls, horizons: Calls) -> int:
        """How many of these keys, in order, were last answered at or after their horizon."""
        horizon = min(int(horizons.min()), self._horizon)  # the earliest call that is valid for any of them
        if len(np.unique(keys)) == len(keys):  # nearly always
            return int(np.count_nonzero(self._last_calls.swap(keys, calls, horizon=horizon) >= horizons))
        order = np.argsort(keys, kind="stable")
        keys, calls, horizons = keys[order], calls[order], horizons[order]
        again = keys[1:] == keys[:-1]
        first, last = np.append([True], ~again), np.append(~again, [True])
        before = np.append([NEVER], calls[:-1])  # correct for repeated keys
        before[first] = self._last_calls.swap(keys[first], calls[last], horizon=horizon)
        return int(np.count_nonzero(before >= horizons))
