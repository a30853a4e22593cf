"""Which questions were asked anew although their last answer was still good: counted exactly, whatever their number.

A question is known by a key of 64 bits, and `LastCalls` says which call last answered it. A duplicate is a question
whose last call was answered less than a lifetime before.
"""

from array import array

import numpy as np

from mock_institutions.dialect import Inquiries
from mock_institutions.findings import Findings
from mock_institutions.last_calls import NEVER, Calls, Keys, LastCalls

# The keys of hashes are those with the top bit; ordinals are far below.
_HASHED = 1 << 63
_HASH_MASK = _HASHED - 1

_AT_ONCE = 8192  # keys looked up together: a millisecond or two
_NO_HORIZON = 1 << 62  # above every call's number


def question_keys(inquiries: Inquiries, findings: Findings) -> Keys:
    """A key for every question that was answered with a fact; equal questions have equal keys.

    The ordinal of a person of the population, who has one number and one name, is as good as both: no two persons
    have the same key. Others get a hash of 63 bits under the top one: among 10^7 of them, two have the same with a
    chance of 1 in 10^5.
    """
    keys = findings.persons.view(np.uint64) + np.uint64(1)  # 0 for everybody else
    others = np.flatnonzero(keys == 0)
    if others.size:
        asked = list(zip(inquiries.subject_types, inquiries.numbers, inquiries.names, strict=True))
        for row in others.tolist():
            keys[row] = 0 if row in findings.refusals else hash(asked[row]) & _HASH_MASK | _HASHED
        keys = keys[keys != 0]
    return keys


class Repeats:
    """Counts the questions that were asked anew while their last answer was good, in the order of the answers.

    Calls are only noted down, and looked up many at a time: numpy's fixed cost is then next to nothing.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._counted = 0
        self._last_calls = LastCalls()
        self._times = array("d")  # of each call from `_forgotten` on
        self._forgotten = 0
        self._horizon = 0  # the first call whose answers are good now
        self._noted: list[tuple[Keys, int, int]] = []  # keys, call, and the horizon of that call
        self._size = 0

    def add(self, keys: Keys, *, is_first_attempt: bool, now: float) -> None:
        """A call was answered. One that repeats a failed call is no duplicate."""
        call = self._forgotten + len(self._times)
        self._times.append(now)
        while self._times[self._horizon - self._forgotten] <= now - self._lifetime:
            self._horizon += 1
        self._noted.append((keys, call, self._horizon if is_first_attempt else _NO_HORIZON))
        self._size += len(keys)
        if self._size >= _AT_ONCE or len(self._noted) >= _AT_ONCE:
            self._look_up()

    def count(self) -> int:
        """How many there were so far."""
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
        """How many of these, in order, were last answered at or after their horizon."""
        horizon = min(int(horizons.min()), self._horizon)  # what was good to the first of them
        if len(np.unique(keys)) == len(keys):  # nearly always
            return int(np.count_nonzero(self._last_calls.swap(keys, calls, horizon=horizon) >= horizons))
        order = np.argsort(keys, kind="stable")
        keys, calls, horizons = keys[order], calls[order], horizons[order]
        again = keys[1:] == keys[:-1]
        first, last = np.append([True], ~again), np.append(~again, [True])
        before = np.append([NEVER], calls[:-1])  # right for those that come again
        before[first] = self._last_calls.swap(keys[first], calls[last], horizon=horizon)
        return int(np.count_nonzero(before >= horizons))
