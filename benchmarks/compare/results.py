"""The measurements of two versions, pair by pair, and what follows from them. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.compare.benchmark_run import Measurement
from benchmarks.pairs import RatioSummary, Side, Verdict, judge, summarise

Pair = tuple[Measurement, Measurement]
"""By side: A is the old version, B the new one."""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """What the pairs of one benchmark say."""

    rates: tuple[float, float]
    """Inquiries per second: the median of the old version, and of the new one."""
    cpu: tuple[float, float]
    """Microseconds per inquiry, likewise."""
    rate_ratios: Sequence[float]
    """Of each pair, new to old. Less than 1: the new version is slower."""
    cpu_ratios: Sequence[float]
    """Likewise. More than 1: the new version takes more CPU time."""
    rate: RatioSummary
    cpu_per_inquiry: RatioSummary
    verdict: Verdict


def compare(pairs: Sequence[Pair], tolerance: float) -> ComparisonResult:
    """Compares the versions by at least one pair."""
    rate_ratios = [new.rate / old.rate for old, new in pairs]
    cpu_ratios = [new.cpu / old.cpu for old, new in pairs]
    rate = summarise(rate_ratios)
    old, new = zip(*pairs, strict=True)
    return ComparisonResult(
        rates=(median(one.rate for one in old), median(one.rate for one in new)),
        cpu=(median(one.cpu for one in old), median(one.cpu for one in new)),
        rate_ratios=rate_ratios,
        cpu_ratios=cpu_ratios,
        rate=rate,
        cpu_per_inquiry=summarise(cpu_ratios),
        verdict=judge(rate, tolerance),
    )


@dataclass(slots=True)
class Measurements:
    """State: what has been measured so far, by benchmark and pair."""

    _taken: dict[tuple[str, int], dict[Side, Measurement]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, benchmark: str, pair: int, side: Side, measured: Measurement) -> None:
        """Adds one measurement."""
        self._taken[benchmark, pair][side] = measured

    def pairs(self, benchmark: str) -> list[Pair]:
        """The pairs of which both sides were measured, in order."""
        taken = [sides for (name, _), sides in sorted(self._taken.items()) if name == benchmark]
        return [(sides[Side.A], sides[Side.B]) for sides in taken if len(sides) == len(Side)]
