"""Whom the courts of a load test ask about.

By default the people are new in each run and in each process of it: a broker that keeps its cache between two runs
would otherwise be tested with hits where misses were wanted. With a seed, a run can be repeated.
"""

import random
from collections.abc import Sequence
from typing import Protocol

from mock_institutions.population import Lookup, Population

_KNOWN = 2000  # people whom the courts of one process ask about again and again


class People(Protocol):
    """Draws people."""

    def known(self, count: int) -> list[Lookup]:
        """People who have mostly been asked about before in this run."""

    def new(self, count: int) -> list[Lookup]:
        """People who have hardly ever been asked about."""


class SyntheticPeople:
    """Persons of the mocks' population, of whom there are 317 billion."""

    def __init__(self, population_seed: int, people_seed: int | None, process: int = 0) -> None:
        """`people_seed`: None for other people in each run. `process`: the number of this process in the run."""
        self._population = Population(population_seed)
        self._draw: random.Random = random.SystemRandom()
        if people_seed is not None:
            self._draw = random.Random(f"{people_seed}/{process}")
        self._known = self._sample(_KNOWN)

    def known(self, count: int) -> list[Lookup]:
        """See `People`."""
        return self._draw.sample(self._known, count)

    def new(self, count: int) -> list[Lookup]:
        """See `People`."""
        return self._sample(count)

    def _sample(self, count: int) -> list[Lookup]:
        return list(self._population.sample(count, rng_seed=self._draw.getrandbits(62), mix="persons"))


class ListedPeople:
    """The people of a file: for institutions whose people are not the mocks'."""

    def __init__(self, people: Sequence[Lookup]) -> None:
        """`people`: at least one."""
        self._people = people
        self._draw = random.Random()

    def known(self, count: int) -> list[Lookup]:
        """See `People`."""
        return self._draw.choices(self._people, k=count)

    def new(self, count: int) -> list[Lookup]:
        """See `People`. A file has no new people: they are drawn from the same ones."""
        return self.known(count)
