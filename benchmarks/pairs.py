"""Statistics of two things that are measured in turns, in pairs: pure functions.

The speed of a shared machine changes within minutes. The two measurements of a pair follow each other directly, so that
their ratio depends less on the machine than either of them does. The order alternates (AB BA AB ...), so that neither
side is always the one that runs first.

The interval around the median ratio comes from the sign test and assumes no distribution: of n independent ratios, all
are on the same side of the true median with probability 2 / 2^n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import comb
from statistics import median

_CONFIDENCE = 0.95  # of an interval, if there are enough ratios: six or more


class Side(IntEnum):
    """One of the two things compared."""

    A = 0
    B = 1


def order(pair: int) -> tuple[Side, Side]:
    """Which side of a pair is measured first. Pairs are numbered from 0."""
    return (Side.B, Side.A) if pair % 2 else (Side.A, Side.B)


@dataclass(frozen=True, slots=True)
class RatioSummary:
    """The median of some ratios, with an interval that contains the true median with a certain probability."""

    median: float
    low: float
    high: float
    confidence: float
    """The probability. 0 if there is one ratio."""


def summarise(ratios: Sequence[float]) -> RatioSummary:
    """Summarises the ratios of pairs, at least one.

    The interval leaves out as many of the smallest and of the largest ratios as a confidence of 95 % allows. With fewer
    than six ratios it reaches from the smallest to the largest, and the confidence is what that gives.
    """
    ordered = sorted(ratios)
    count = len(ordered)
    left_out = max((number for number in range((count + 1) // 2) if _coverage(count, number) >= _CONFIDENCE), default=0)
    return RatioSummary(median(ordered), ordered[left_out], ordered[-1 - left_out], _coverage(count, left_out))


def _coverage(count: int, left_out: int) -> float:
    """The probability that the median lies within `count` values of which so many at each end are left out."""
    return 1 - 2 * sum(comb(count, number) for number in range(left_out + 1)) / float(2**count)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether B is slower than A by more than is tolerated."""

    slower: bool
    """By the median."""
    certain: bool
    """Whether the whole interval, at a confidence of 95 %, says the same."""


def judge(rates: RatioSummary, tolerance: float) -> Verdict:
    """Judges the ratios of rates, B to A. `tolerance` is a share: 0.03 tolerates a median of 0.97 or more."""
    limit = 1 - tolerance
    slower = rates.median < limit
    agrees = rates.high < limit if slower else rates.low >= limit
    return Verdict(slower, certain=agrees and rates.confidence >= _CONFIDENCE)
