"""The synthetic population. Nothing is stored: every answer of every institution is computed from a seed.

`Population(seed).answer(...)` gives the correct answer of an institution. `people` determines identities and names,
`registry` who owns what, `things` the numbers of things, and `catalogue` the content of their records.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_institutions.numbers import PERSONS, POPULATION, resident_ids
from mock_institutions.people import Identity, People
from mock_institutions.protobuf_dialect import ProtobufSplicer
from mock_institutions.records import Answer, SubjectType
from mock_institutions.registry import Institution, Registry

Mix = Literal["persons", "organisations", "properties", "all"]
_MIXES: tuple[Mix, ...] = ("persons", "organisations", "properties")


class Lookup(NamedTuple):
    """One lookup. `name` is empty for a thing."""

    ref: str
    type: SubjectType
    number: str
    name: str


class Population:
    """All identities and records for one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._people = People(seed)
        self._registries: dict[Institution, Registry] = {}

    def person(self, index: int) -> Identity:
        """The person, or from `PERSONS` on the organisation, with ordinal `index` (0 to `POPULATION` - 1)."""
        return self._people.identity(index)

    def residents(self, indices: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """The numbers and names of many persons, the same as from `person`. Ordinals are from 0 to `PERSONS` - 1.

        There are 317,043,200,000 persons, enough for any number of distinct lookups.
        """
        return resident_ids(indices), self._people.person_names(indices)

    def registry(self, institution: Institution) -> Registry:
        """The records of one institution. Created once, then cached."""
        if institution not in self._registries:
            self._registries[institution] = Registry(self.seed, institution)
        return self._registries[institution]

    def answer(self, institution: Institution, subject_type: SubjectType, number: str, name: str = "") -> Answer:
        """The correct answer of an institution about a subject. It depends neither on the caller nor on time."""
        registry = self.registry(institution)
        return registry.answer(registry.find(subject_type, number, name))

    def encoded_answers(
        self,
        institution: Institution,
        subject_types: Sequence[SubjectType],
        numbers: Sequence[str],
        names: Sequence[str],
    ) -> list[bytes]:
        """The correct answers about many subjects, as encoded messages `Answer`, to verify reports in bulk.

        Each has outcome, problem and assets, in this order, but no institution_id, observed_at and source. An answer of
        a broker is equal after these fields are removed; observed_at begins at the third byte after institution_id. If
        a broker encodes fields in another order, parse and serialise its answers first.
        """
        return ProtobufSplicer(self.registry(institution)).answers(subject_types, numbers, names)

    def sample(
        self, count: int, rng_seed: int, mix: Mix = "all", institutions: Sequence[Institution] = ()
    ) -> Iterator[Lookup]:
        """Draws `count` lookups of people, organisations, or things that exist at one of the institutions.

        In the mix "all", 85 % are persons, 10 % organisations and 5 % things; without institutions there are no things.
        """
        rng = Random(rng_seed)
        registries = [self.registry(institution) for institution in institutions if institution.hit_rate > 0]
        for line in range(1, count + 1):
            yield Lookup(f"{line:07d}", *self._draw(rng, mix, registries))

    def _draw(self, rng: Random, mix: Mix, registries: Sequence[Registry]) -> tuple[SubjectType, str, str]:
        if mix == "all":
            mix = rng.choices(_MIXES, (85, 10, 5 if registries else 0))[0]
        if mix == "properties":
            return (*rng.choice(registries).draw_thing(rng), "")
        return self.person(rng.randrange(PERSONS) if mix == "persons" else rng.randrange(PERSONS, POPULATION))
