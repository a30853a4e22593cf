"""Two ways of doing the same thing, measured in turns.

Time is CPU time of the whole process, all threads. Where the disk matters, elapsed time is given as well.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq
from statistics import median
from typing import Any

from benchmarks.pairs import RatioSummary, Side, order, summarise

Work = Callable[[Any], Any]
"""Does the work of one round, whose input is given, and returns its result."""


class DifferenceError(Exception):
    """The two ways did not give the same result."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing the broker does in a way of its own, and the same done with a library."""

    part: str
    """The module that would go if the library took its place."""
    task: str
    unit: str
    """What the costs are given for."""
    count: int
    """How many of them there are in a round."""
    library_way: str
    """In words."""
    prepare: Callable[[int], Any]
    """Makes the input of a round, whose number is given. This is not measured."""
    ours: Work
    library: Work
    same: Callable[[Any, Any], bool] = eq
    """Compares the two results."""


@dataclass(frozen=True, slots=True)
class AlternativeResult:
    """What was measured. Times in microseconds per unit, medians of the rounds."""

    alternative: Alternative
    ours: float
    """CPU time."""
    library: float
    ratio: RatioSummary
    """CPU time of the library's way over that of ours, by round."""
    elapsed_ratio: float
    """The same for elapsed time: the median."""


def measure(alternative: Alternative, rounds: int) -> AlternativeResult:
    """Measures both ways in turns, in so many rounds.

    Round 0 comes before, and is not measured: it fills caches. Raises `DifferenceError`.
    """
    return result_of(alternative, [_round(alternative, number) for number in range(rounds + 1)][1:])


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took in one round, in seconds."""

    cpu: float
    elapsed: float


Costs = tuple[Cost, Cost]
"""By side: A is ours, B is the library's."""


def result_of(alternative: Alternative, rounds: Sequence[Costs]) -> AlternativeResult:
    """Summarises at least one round."""
    return AlternativeResult(
        alternative,
        ours=median(ours.cpu for ours, _ in rounds) / alternative.count * 1e6,
        library=median(library.cpu for _, library in rounds) / alternative.count * 1e6,
        ratio=summarise([library.cpu / ours.cpu for ours, library in rounds]),
        elapsed_ratio=median(library.elapsed / ours.elapsed for ours, library in rounds),
    )


def _round(alternative: Alternative, number: int) -> Costs:
    given = alternative.prepare(number)
    ways = {Side.A: alternative.ours, Side.B: alternative.library}
    costs: dict[Side, Cost] = {}
    results: dict[Side, Any] = {}
    for side in order(number):
        cpu, elapsed = time.process_time(), time.perf_counter()
        results[side] = ways[side](given)
        costs[side] = Cost(time.process_time() - cpu, time.perf_counter() - elapsed)
    if not alternative.same(results[Side.A], results[Side.B]):
        msg = f"{alternative.part}, {alternative.task}: the two ways do not give the same result"
        raise DifferenceError(msg)
    return costs[Side.A], costs[Side.B]
