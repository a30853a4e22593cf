"""Answers in memory, between being put and being committed.

One memtable holds what was put in one stretch of time: for each institution its columns, as they came, and where in
them each subject is. Putting costs a dictionary's update, and whole subjects are made into records column by column.

Answers are put into one `Memtable`. When it is replaced by another one, its view remains, a `FrozenMemtable`,
which several threads may read, since it does not change any more.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker.core.wire import encoding, record
from broker.core.wire.record import Answers, Entry
from broker.model import Source
from broker.store.base import Statements
from broker.store.cipher import Buffer

_ABSENT = -1
_FEW = 3  # subjects up to which answers are packed one by one; for more of them, column by column takes less time
_LATEST = 2**32 - 1  # the last second a record can name; longer TTLs are cut to it

_CACHED = bytes((Source.CACHE,))
"""The last byte of a segment, which is the source (`encoding`)."""

_Numbers = NDArray[np.intp]


class Records(NamedTuple):
    """Records ready to be sealed: aligned columns."""

    keys: list[bytes]
    records: list[Buffer]
    expires: list[int]
    """When the last answer in each does."""


class _InstitutionColumns:
    """What one institution said."""

    __slots__ = ("expires", "observed", "outcomes", "rows", "segments")

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.outcomes = bytearray()
        self.observed = array("q")
        self.expires = array("q")
        self.segments: list[bytes] = []

    def add(self, new: Statements, now: int) -> None:
        """Adds answers; of two about one subject, the newer counts (`record.supersedes`)."""
        start = len(self.segments)
        rows: Iterable[tuple[bytes, int]] = zip(new.keys, range(start, start + len(new.keys)), strict=True)
        if not self.rows.keys().isdisjoint(new.keys):  # rare
            rows = [(key, row) for key, row in rows if self._is_newer(key, new.observed[row - start], now)]
        self.outcomes += new.outcomes
        self.observed.extend(new.observed)
        self.expires.extend(new.expires)
        self.segments += new.segments
        self.rows.update(rows)

    def _is_newer(self, key: bytes, observed: int, now: int) -> bool:
        return key not in self.rows or record.supersedes(observed, self.observed[self.rows[key]], now)

    def pick(self, institution: bytes, keys: Sequence[bytes]) -> Statements:
        """What was said about these subjects."""
        rows = [self.rows[key] for key in keys]
        return Statements(
            institution=institution,
            keys=keys,
            outcomes=bytes([self.outcomes[row] for row in rows]),
            observed=[self.observed[row] for row in rows],
            expires=[self.expires[row] for row in rows],
            segments=[self.segments[row] for row in rows],
        )

    def without(self, keys: AbstractSet[bytes]) -> "_InstitutionColumns":
        """The same without these subjects."""
        if keys.isdisjoint(self.rows):
            return self
        rest = copy(self)
        rest.rows = {key: row for key, row in self.rows.items() if key not in keys}
        return rest

    def copy(self) -> "_InstitutionColumns":
        """The same, to be added to."""
        twin = _InstitutionColumns()
        twin.rows, twin.segments = dict(self.rows), list(self.segments)
        twin.outcomes, twin.observed, twin.expires = self.outcomes[:], self.observed[:], self.expires[:]
        return twin

    def entry(self, institution: bytes, key: bytes) -> Entry:
        """One answer, as it is kept: from the cache."""
        row = self.rows[key]
        segment = self.segments[row][:-1] + _CACHED
        return Entry(institution, self.outcomes[row], self.observed[row], min(self.expires[row], _LATEST), segment)

    def find(self, keys: Sequence[bytes]) -> _Numbers:
        """The row of each subject, or `_ABSENT`."""
        return np.fromiter(map(self.rows.get, keys, repeat(_ABSENT)), np.intp, len(keys))


@dataclass(frozen=True, slots=True)
class FrozenMemtable:
    """Answers by institution and subject, to which no more are added."""

    columns: Mapping[bytes, _InstitutionColumns]
    """By institution."""
    subjects: Mapping[bytes, None]
    """The keys of those of whom something was said, in the order in which they came."""

    @property
    def size(self) -> int:
        """How many answers."""
        return sum(len(columns.rows) for columns in self.columns.values())

    def absorb(self, newer: Sequence["FrozenMemtable"], now: int) -> tuple["FrozenMemtable", list["FrozenMemtable"]]:
        """With what newer memtables hold about these subjects; and those memtables, without that."""
        columns, rests = dict(self.columns), []
        for memtable in newer:
            for institution, theirs in memtable.columns.items():
                both = self.subjects.keys() & theirs.rows.keys()
                if both:
                    merged = columns[institution].copy() if institution in columns else _InstitutionColumns()
                    merged.add(theirs.pick(institution, list(both)), now)
                    columns[institution] = merged
            rests.append(memtable.without(self.subjects.keys()))
        return FrozenMemtable(columns, self.subjects), rests

    def without(self, keys: AbstractSet[bytes]) -> "FrozenMemtable":
        """The same without these subjects."""
        if keys.isdisjoint(self.subjects):
            return self
        columns = {institution: each.without(keys) for institution, each in self.columns.items()}
        subjects = {key: None for key in self.subjects if key not in keys}
        return FrozenMemtable({institution: each for institution, each in columns.items() if each.rows}, subjects)

    def records(self, keys: Sequence[bytes], held: Mapping[bytes, bytes], now: int) -> Records:
        """The records of these subjects of the memtable: its answers, added to what is held of them."""
        result = Records([], [], [])
        new = [key for key in keys if key not in held] if held else list(keys)
        for part in self._packed(new) if len(new) > _FEW else self._packed_singly(new):
            result.keys.extend(part.keys)
            result.records.extend(part.records)
            result.expires.extend(part.expires)
        for key, before in held.items():
            merged = record.merge(before, self.entries(key), now)
            result.keys.append(key)
            result.records.append(merged)
            result.expires.append(record.last_expiry(merged))
        return result

    def entries(self, key: bytes) -> list[Entry]:
        """The answers about one subject, as they are kept."""
        return [each.entry(institution, key) for institution, each in self.columns.items() if key in each.rows]

    def _packed_singly(self, keys: list[bytes]) -> Iterator[Records]:
        """The same as `_packed`, without what that costs per institution, whatever the number of subjects."""
        for key in keys:
            entries = self.entries(key)
            yield Records([key], [record.pack(entries)], [max(entry.expires for entry in entries)])

    def _packed(self, keys: list[bytes]) -> Iterator[Records]:
        """The records of subjects of whom nothing is held, for each set of institutions that answered together."""
        if not keys:
            return
        ordered = sorted(self.columns.items(), key=_institution_id)
        rows = np.array([columns.find(keys) for _, columns in ordered])
        for answered, subjects in _patterns(rows != _ABSENT):
            chosen = [ordered[index] for index in answered.tolist()]
            answers = _gather(chosen, rows[np.ix_(answered, subjects)])
            whose = keys if len(subjects) == len(keys) else [keys[index] for index in subjects.tolist()]
            packed = record.pack_many(answers, Source.CACHE)
            yield Records(whose, [*packed], answers.expires.max(axis=1).tolist())


def lay_over(memtables: Iterable[FrozenMemtable], records: list[bytes | None], keys: Sequence[bytes], now: int) -> None:
    """Adds the answers of memtables, the oldest first, to the records of these subjects."""
    added: dict[int, list[Entry]] = {}
    for memtable in memtables:
        subjects = memtable.subjects
        for index in [index for index, key in enumerate(keys) if key in subjects]:
            added.setdefault(index, []).extend(memtable.entries(keys[index]))
    for index, entries in added.items():
        records[index] = record.merge(records[index], entries, now)


class Memtable:
    """Answers that are still coming. For the thread that puts them: it may read `view` as well."""

    def __init__(self) -> None:
        self._columns: dict[bytes, _InstitutionColumns] = {}
        self._subjects: dict[bytes, None] = {}
        self.view = FrozenMemtable(self._columns, self._subjects)
        """What has been put so far. Frozen, in truth, once nothing more is put."""

    def put(self, statements: Statements, now: int) -> None:
        """Adds answers. `now` in seconds since the epoch."""
        if statements.institution not in self._columns:
            self._columns[statements.institution] = _InstitutionColumns()
        self._columns[statements.institution].add(statements, now)
        self._subjects.update(dict.fromkeys(statements.keys))


def _institution_id(item: tuple[bytes, _InstitutionColumns]) -> bytes:
    return encoding.institution_of(item[1].segments[0])


def _patterns(present: NDArray[np.bool]) -> Iterator[tuple[_Numbers, _Numbers]]:
    """Of institutions and subjects: each set of institutions that answered, with the subjects they answered about."""
    institutions, subjects = present.shape
    if present.all():  # as nearly always: all were asked together, and answered within one round
        yield np.arange(institutions), np.arange(subjects)
        return
    bits = np.ascontiguousarray(np.packbits(present, axis=0).T)
    patterns, which = np.unique(bits, axis=0, return_inverse=True)
    for number in range(len(patterns)):
        (those,) = (which.ravel() == number).nonzero()
        yield present[:, those[0]].nonzero()[0], those


def _gather(chosen: Sequence[tuple[bytes, _InstitutionColumns]], rows: _Numbers) -> Answers:
    """The answers of some institutions in these rows."""
    columns = [one for _, one in chosen]
    pairs = list(zip(columns, rows, strict=True))
    return Answers(
        institutions=[institution for institution, _ in chosen],
        outcomes=np.stack([np.frombuffer(one.outcomes, np.uint8)[those] for one, those in pairs], axis=1),
        observed=np.stack([np.frombuffer(one.observed, np.int64)[those] for one, those in pairs], axis=1),
        expires=np.stack([np.frombuffer(one.expires, np.int64)[those] for one, those in pairs], axis=1).clip(
            max=_LATEST
        ),
        segments=[list(map(one.segments.__getitem__, those.tolist())) for one, those in pairs],
    )
