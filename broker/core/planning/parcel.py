"""Parcels and batches: what requests ask of an institution, and what is sent to it.

A `Parcel` is what one request asks of one institution, a `Submission` what it asks of many at a time. A lane cuts
parcels into `CallBatch`es, each the content of one call, and may join several parcels in one. All work on columns;
nothing is made per inquiry.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol

from broker.model import Mandate, Priority, Source, Subject


class Waiter(Protocol):
    """A request that waits for answers."""

    @property
    def open(self) -> bool:
        """False once the request has ended; nobody need be asked for its sake any more."""

    @property
    def request_id(self) -> str:
        """What the request is called in logs: the court's own id for it, made safe for that."""

    def deliver(
        self, column: int, rows: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """Takes answers of the institution in `column`, aligned with `rows`."""

    def fail(self, error: Exception) -> None:
        """Ends the request: its answers could not be taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """What one request asks of one institution: aligned columns."""

    waiter: Waiter
    column: int
    """The institution's column in the request."""
    mandate: Mandate
    priority: Priority
    keys: Sequence[bytes]
    subjects: Sequence[Subject]
    rows: Sequence[int]
    """The request's rows."""
    names_may_differ: bool = True
    """Whether a subject's name may not be in its standard spelling (`respelling`)."""

    def __len__(self) -> int:
        return len(self.keys)

    def pick(self, indices: Sequence[int]) -> "Parcel":
        """The parcel of some of the inquiries."""
        return Parcel(
            waiter=self.waiter,
            column=self.column,
            mandate=self.mandate,
            priority=self.priority,
            keys=[self.keys[i] for i in indices],
            subjects=[self.subjects[i] for i in indices],
            rows=[self.rows[i] for i in indices],
            names_may_differ=self.names_may_differ,
        )

    def addressed(self, column: int, indices: Sequence[int]) -> "Parcel":
        """The parcel of some of the inquiries, for one institution. All of them cost no copy."""
        return replace(self if len(indices) == len(self) else self.pick(indices), column=column)

    def promoted(self, urgent: frozenset[bytes]) -> list["Parcel"]:
        """The inquiries of a bulk parcel about these subjects as an interactive parcel, then the others."""
        if self.priority is Priority.INTERACTIVE or urgent.isdisjoint(self.keys):
            return [self]
        first = [index for index, key in enumerate(self.keys) if key in urgent]
        others = [index for index, key in enumerate(self.keys) if key not in urgent]
        return [
            replace(self.pick(first), priority=Priority.INTERACTIVE),
            *([self.pick(others)] if others else []),
        ]

    def split(self, size: int) -> tuple["Parcel", "Parcel"]:
        """The first `size` inquiries, and the others."""
        return self._slice(slice(size)), self._slice(slice(size, None))

    def _slice(self, cut: slice) -> "Parcel":
        return Parcel(
            waiter=self.waiter,
            column=self.column,
            mandate=self.mandate,
            priority=self.priority,
            keys=self.keys[cut],
            subjects=self.subjects[cut],
            rows=self.rows[cut],
            names_may_differ=self.names_may_differ,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one request asks of many institutions at a time."""

    missed: Parcel
    """All subjects it is about, each once, addressed to nobody yet."""
    asked: Mapping[int, Sequence[int]]
    """By the institution's column: indices into `missed`."""
    max_age: float | None = None
    """The request's, in seconds."""

    def parcel(self, column: int) -> Parcel:
        """What is asked of one institution."""
        return self.missed.addressed(column, self.asked[column])


@dataclass(frozen=True, slots=True, eq=False)
class CallBatch:
    """The content of one call: whole parcels, one after the other. Item `i` counts through all of them."""

    parcels: Sequence[Parcel]
    keys: Sequence[bytes] = field(init=False)
    """Of all items."""

    def __post_init__(self) -> None:
        joined = list(chain.from_iterable([parcel.keys for parcel in self.parcels]))
        object.__setattr__(self, "keys", joined)  # once: it is asked for at every step

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def subjects(self) -> list[Subject]:
        """Subjects of all items."""
        return list(chain.from_iterable([parcel.subjects for parcel in self.parcels]))

    @property
    def names_may_differ(self) -> bool:
        """Whether a subject's name may not be in its standard spelling."""
        return any(parcel.names_may_differ for parcel in self.parcels)

    def spans(self) -> Iterator[tuple[Parcel, slice]]:
        """Each parcel with the items it accounts for."""
        start = 0
        for parcel in self.parcels:
            yield parcel, slice(start, start + len(parcel))
            start += len(parcel)

    def pick(self, items: Sequence[int]) -> "CallBatch":
        """The batch of some of the items, given in ascending order."""
        picked = []
        at = 0
        for parcel, span in self.spans():
            begin, at = at, bisect_left(items, span.stop, lo=at)
            if begin < at:
                picked.append(parcel.pick([item - span.start for item in items[begin:at]]))
        return CallBatch(picked)

    def halves(self) -> tuple["CallBatch", "CallBatch"]:
        """The first and the second half of the items."""
        middle = len(self) // 2
        return self.pick(range(middle)), self.pick(range(middle, len(self)))

    def by_priority(self, urgent: Collection[bytes] = ()) -> list["CallBatch"]:
        """The interactive part and the bulk part; one of them if there is no other.

        `urgent`: keys of inquiries that count as interactive whatever their parcels are.
        """
        wanted = frozenset(urgent)
        parts: dict[Priority, list[Parcel]] = {priority: [] for priority in Priority}
        for parcel in self.parcels:
            for part in parcel.promoted(wanted):
                parts[part.priority].append(part)
        return [CallBatch(parcels) for parcels in parts.values() if parcels]
