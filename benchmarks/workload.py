"""A nation's inquiries: who is asked about, how often and when. Drawn once, from a seed, before any clock starts.

A *subject* is a person, an organisation or a thing, in one case or in several. A *case* is searched when it is filed;
one that ended without anything found is searched again every half year. All searches in order of time are the
*schedule*. Every assumption is a parameter of `Shape`; left out is the shape of the day, since a replay asks as fast as
it is answered.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSON, ORGANISATION, THING = range(3)
"""What a subject is."""
INQUIRIES = (4, 4, 1)
"""By what the subject is: of the four institutions all know somebody, and one knows a thing."""

_CHUNK = 1 << 20  # subjects drawn at a time: numpy's temporaries stay below 300 MB
_TICKS = 1 << 32  # of the span's clock: a search's time and its subject share 64 bits, which numpy sorts fastest


def _parameter(default: Any, why: str) -> Any:
    return field(default=default, metadata={"help": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the workload is like. Equal shapes give the same workload, to the byte."""

    inquiries: int = _parameter(
        1_000_000, "How many inquiries, at least. [195 million in two years: Supreme People's Court, December 2016]"
    )
    seed: int = _parameter(1, "Of the workload, and of the mocks' population.")
    batch: int = _parameter(1000, "Lookups of a bulk request. [assumption]")
    interactive: int = _parameter(1, "One-lookup requests beside each bulk request. [assumption]")
    one_case: float = _parameter(0.70, "Part of the subjects in one case. [assumption]")
    few_cases: float = _parameter(0.20, "Part in two or three; the rest is in four or more. [assumption]")
    zipf: float = _parameter(2.5, "There, k cases are as likely as k to the power of minus this. [assumption]")
    most_cases: int = _parameter(10_000, "Cases of one subject, at most. [assumption]")
    ended: float = _parameter(
        0.127,
        "Part of the cases searched again, 5.5 times on average: 1.7 searches per case. [50.1 million searched, some "
        "30 million new ones, 2018-11 to 2021-12: figures of the Supreme People's Court]",
    )
    most_repeats: int = _parameter(10, "Further searches of a case, at most. [法〔2016〕373号: 5 years, twice a year]")
    repeat_days: float = _parameter(125.0, "Working days between them. [the same: every six months]")
    case_days: float = _parameter(20.0, "Working days between the cases of one subject, on average. [assumption]")
    span_days: float = _parameter(500.0, "Working days in all; what would come later comes first. [two years]")
    organisations: float = _parameter(0.08, "Organisations among subjects of up to three cases. [assumption]")
    tail_organisations: float = _parameter(0.60, "Among those of more: corporate debtors. [assumption]")
    things: float = _parameter(0.04, "Things among subjects of up to three cases. [assumption]")

    def __post_init__(self) -> None:
        parts = (self.one_case, self.few_cases, self.ended, self.organisations, self.tail_organisations, self.things)
        if not all(0 <= part <= 1 for part in parts) or self.one_case + self.few_cases > 1:
            raise ValueError("parts must be between 0 and 1, and those with one and few cases at most 1 together")
        if self.organisations + self.things > 1:
            raise ValueError("organisations and things cannot be more than all subjects")
        if min(self.inquiries, self.batch, self.most_repeats, self.repeat_days, self.case_days, self.span_days) <= 0:
            raise ValueError("numbers and days must be positive")
        if self.interactive < 0 or self.most_cases < 4:
            raise ValueError("interactive must not be negative, and most_cases not below 4")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Whose turn it is, from the first search to the last."""

    subjects: NDArray[np.uint32]
    """Of each search: ordinals of subjects."""
    kinds: NDArray[np.uint8]
    """Of each subject: PERSON, ORGANISATION or THING."""

    @property
    def inquiries(self) -> int:
        """Of all searches together."""
        return int(np.array(INQUIRIES)[self.kinds[self.subjects]].sum())

    def asked(self, searches: int) -> int:
        """Different inquiries among the first so many searches: what institutions are asked if nothing expires."""
        seen = np.zeros(len(self.kinds), dtype=bool)
        seen[self.subjects[:searches]] = True
        return int(np.array(INQUIRIES)[self.kinds[seen]].sum())


def draw(shape: Shape) -> Schedule:
    """The schedule. 195 million inquiries take some ten seconds, and 1.5 GB for a moment."""
    kinds: list[NDArray[np.uint8]] = []
    times: list[NDArray[np.uint64]] = []
    missing = shape.inquiries
    while missing > 0:
        chunk = _Chunk(shape, number=len(kinds))
        taken = chunk.subjects_for(missing)
        kinds.append(chunk.kinds[:taken])
        times.append(chunk.times(taken))
        missing -= int(chunk.inquiries[:taken].sum())
    stamps = np.concatenate(times)
    stamps.sort()
    return Schedule((stamps % _TICKS).astype(np.uint32), np.concatenate(kinds))


class _Chunk:
    """A number of subjects and their cases."""

    def __init__(self, shape: Shape, *, number: int) -> None:
        self._shape = shape
        self._first = number * _CHUNK
        self._rng = rng = np.random.default_rng((shape.seed, number))
        self._cases = _draw_cases(rng, shape)
        self.kinds = _draw_kinds(rng, shape, self._cases)
        repeats = rng.integers(1, shape.most_repeats + 1, self._cases.sum())
        self._searches = 1 + np.where(rng.random(len(repeats)) < shape.ended, repeats, 0)
        self._case_ends = np.cumsum(self._cases)
        searched = np.add.reduceat(self._searches, self._case_ends - self._cases)
        self.inquiries = searched * np.array(INQUIRIES)[self.kinds]

    def subjects_for(self, inquiries: int) -> int:
        """So many of the subjects make so many inquiries; all of them if they are too few."""
        return min(int(np.searchsorted(np.cumsum(self.inquiries), inquiries)) + 1, len(self.kinds))

    def times(self, subjects: int) -> NDArray[np.uint64]:
        """For each search of the first so many subjects: when, in ticks, and in the low 32 bits, about whom."""
        shape, cases = self._shape, self._cases[:subjects]
        searches = self._searches[: self._case_ends[subjects - 1]]
        owners = np.repeat(np.arange(subjects), cases)
        filed = self._rng.random(_CHUNK)[owners] * shape.span_days
        filed += self._rng.random(len(owners)) * (cases * shape.case_days)[owners]
        nth = np.arange(searches.sum()) - np.repeat(np.cumsum(searches) - searches, searches)
        part = (np.repeat(filed, searches) + nth * shape.repeat_days) / shape.span_days % 1
        ticks = (part * _TICKS).astype(np.uint64)
        about = (np.repeat(owners, searches) + self._first).astype(np.uint64)
        stamps: NDArray[np.uint64] = ticks * np.uint64(_TICKS) + about
        return stamps


def _draw_cases(rng: np.random.Generator, shape: Shape) -> NDArray[np.int64]:
    """How many cases each subject of a chunk is in."""
    chance = rng.random(_CHUNK)
    cases = np.where(chance < shape.one_case, 1, rng.integers(2, 4, _CHUNK))
    tail = chance >= shape.one_case + shape.few_cases
    likely = np.cumsum(np.arange(4, shape.most_cases + 1) ** -shape.zipf)
    cases[tail] = 4 + np.searchsorted(likely, rng.random(tail.sum()) * likely[-1], side="right")
    return cases


def _draw_kinds(rng: np.random.Generator, shape: Shape, cases: NDArray[np.int64]) -> NDArray[np.uint8]:
    """What each subject is."""
    chance = rng.random(len(cases))
    tail = cases >= 4
    organisation = chance < np.where(tail, shape.tail_organisations, shape.organisations)
    thing = ~tail & (chance >= 1 - shape.things)
    return np.where(organisation, ORGANISATION, np.where(thing, THING, PERSON)).astype(np.uint8)
