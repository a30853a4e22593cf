"""The national workload: who is asked about, how often and when. Drawn from a seed, before the measurement.

A *subject* is a person, an organisation or a property, in one case or in several. A *case* is searched when it is
filed; one that ended without anything found is searched again every half year. All searches in order of time are the
*schedule*. Every assumption is a parameter of `WorkloadSpec`. How inquiries spread over a day is not modelled, since a
replay asks as fast as it is answered.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSON, ORGANISATION, PROPERTY = range(3)
"""The kinds of subjects."""
INQUIRIES = (4, 4, 1)
"""Inquiries per search, by kind of subject: all four institutions know owners, one knows a property."""

_CHUNK = 1 << 20  # subjects drawn at a time: numpy's temporaries stay below 300 MB
_TICKS = 1 << 32  # of the span's clock: a search's time and its subject share 64 bits, which numpy sorts fastest


def _parameter(default: Any, why: str) -> Any:
    return field(default=default, metadata={"help": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """The parameters of a workload. Equal specs give the same workload, to the byte."""

    inquiries: int = _parameter(
        1_000_000, "Inquiries, at least. [195 million in two years: Supreme People's Court, December 2016]"
    )
    seed: int = _parameter(1, "Seed of the workload and of the mocks' population.")
    batch: int = _parameter(1000, "Lookups per bulk request. [assumption]")
    interactive: int = _parameter(1, "One-lookup requests beside each bulk request. [assumption]")
    one_case: float = _parameter(0.70, "Share of subjects in one case. [assumption]")
    few_cases: float = _parameter(0.20, "Share in two or three cases; the others are in four or more. [assumption]")
    zipf: float = _parameter(2.5, "Of those, a subject has k cases with probability k^-zipf. [assumption]")
    max_cases: int = _parameter(10_000, "Cases per subject, at most. [assumption]")
    ended: float = _parameter(
        0.127,
        "Share of cases searched again, 5.5 times on average: 1.7 searches per case. [50.1 million searched, some "
        "30 million new ones, 2018-11 to 2021-12: figures of the Supreme People's Court]",
    )
    max_repeats: int = _parameter(10, "Further searches per case, at most. [法〔2016〕373号: 5 years, twice a year]")
    repeat_days: float = _parameter(125.0, "Working days between them. [the same: every six months]")
    case_days: float = _parameter(20.0, "Working days between the cases of one subject, on average. [assumption]")
    span_days: float = _parameter(500.0, "Working days in all; searches after the end wrap to its start. [two years]")
    organisations: float = _parameter(0.08, "Share of organisations among subjects of up to three cases. [assumption]")
    tail_organisations: float = _parameter(0.60, "Their share among subjects of more: corporate debtors. [assumption]")
    properties: float = _parameter(0.04, "Share of properties among subjects of up to three cases. [assumption]")

    def __post_init__(self) -> None:
        shares = (self.one_case, self.few_cases, self.ended)
        kinds = (self.organisations, self.tail_organisations, self.properties)
        if not all(0 <= share <= 1 for share in shares + kinds) or self.one_case + self.few_cases > 1:
            raise ValueError("shares must be between 0 and 1, and one_case and few_cases at most 1 together")
        if self.organisations + self.properties > 1:
            raise ValueError("organisations and properties cannot be more than 1 together")
        if min(self.inquiries, self.batch, self.max_repeats, self.repeat_days, self.case_days, self.span_days) <= 0:
            raise ValueError("inquiries, batch, max_repeats and all numbers of days must be positive")
        if self.interactive < 0 or self.max_cases < 4:
            raise ValueError("interactive must not be negative, and max_cases not below 4")


@dataclass(frozen=True, slots=True)
class Schedule:
    """All searches, in order of time."""

    subjects: NDArray[np.uint32]
    """Of each search: the number of its subject."""
    kinds: NDArray[np.uint8]
    """Of each subject: PERSON, ORGANISATION or PROPERTY."""

    @property
    def inquiries(self) -> int:
        """Of all searches together."""
        return int(np.array(INQUIRIES)[self.kinds[self.subjects]].sum())

    def distinct_inquiries(self, searches: int) -> int:
        """Different inquiries among the first so many searches: what institutions are asked if nothing expires."""
        seen = np.zeros(len(self.kinds), dtype=bool)
        seen[self.subjects[:searches]] = True
        return int(np.array(INQUIRIES)[self.kinds[seen]].sum())


def draw(spec: WorkloadSpec) -> Schedule:
    """Draws the schedule. 195 million inquiries take some ten seconds, and 1.5 GB of memory for a moment."""
    kinds: list[NDArray[np.uint8]] = []
    times: list[NDArray[np.uint64]] = []
    missing = spec.inquiries
    while missing > 0:
        chunk = _Chunk(spec, number=len(kinds))
        taken = chunk.subjects_for(missing)
        kinds.append(chunk.kinds[:taken])
        times.append(chunk.times(taken))
        missing -= int(chunk.inquiries[:taken].sum())
    stamps = np.concatenate(times)
    stamps.sort()
    return Schedule((stamps % _TICKS).astype(np.uint32), np.concatenate(kinds))


class _Chunk:
    """Some subjects and their cases."""

    def __init__(self, spec: WorkloadSpec, *, number: int) -> None:
        self._spec = spec
        self._first = number * _CHUNK
        self._rng = rng = np.random.default_rng((spec.seed, number))
        self._cases = _draw_cases(rng, spec)
        self.kinds = _draw_kinds(rng, spec, self._cases)
        repeats = rng.integers(1, spec.max_repeats + 1, self._cases.sum())
        self._searches = 1 + np.where(rng.random(len(repeats)) < spec.ended, repeats, 0)
        self._case_ends = np.cumsum(self._cases)
        searched = np.add.reduceat(self._searches, self._case_ends - self._cases)
        self.inquiries = searched * np.array(INQUIRIES)[self.kinds]

    def subjects_for(self, inquiries: int) -> int:
        """How many subjects it takes to make so many inquiries; all there are if they make fewer."""
        return min(int(np.searchsorted(np.cumsum(self.inquiries), inquiries)) + 1, len(self.kinds))

    def times(self, subjects: int) -> NDArray[np.uint64]:
        """For each search of the first so many subjects: its time in ticks, with the subject in the low 32 bits."""
        spec, cases = self._spec, self._cases[:subjects]
        searches = self._searches[: self._case_ends[subjects - 1]]
        owners = np.repeat(np.arange(subjects), cases)
        filed = self._rng.random(_CHUNK)[owners] * spec.span_days
        filed += self._rng.random(len(owners)) * (cases * spec.case_days)[owners]
        nth = np.arange(searches.sum()) - np.repeat(np.cumsum(searches) - searches, searches)
        part = (np.repeat(filed, searches) + nth * spec.repeat_days) / spec.span_days % 1
        ticks = (part * _TICKS).astype(np.uint64)
        about = (np.repeat(owners, searches) + self._first).astype(np.uint64)
        stamps: NDArray[np.uint64] = ticks * np.uint64(_TICKS) + about
        return stamps


def _draw_cases(rng: np.random.Generator, spec: WorkloadSpec) -> NDArray[np.int64]:
    """The number of cases of each subject of a chunk."""
    chance = rng.random(_CHUNK)
    cases = np.where(chance < spec.one_case, 1, rng.integers(2, 4, _CHUNK))
    tail = chance >= spec.one_case + spec.few_cases
    likely = np.cumsum(np.arange(4, spec.max_cases + 1) ** -spec.zipf)
    cases[tail] = 4 + np.searchsorted(likely, rng.random(tail.sum()) * likely[-1], side="right")
    return cases


def _draw_kinds(rng: np.random.Generator, spec: WorkloadSpec, cases: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The kind of each subject."""
    chance = rng.random(len(cases))
    tail = cases >= 4
    organisation = chance < np.where(tail, spec.tail_organisations, spec.organisations)
    property_ = ~tail & (chance >= 1 - spec.properties)
    return np.where(organisation, ORGANISATION, np.where(property_, PROPERTY, PERSON)).astype(np.uint8)
