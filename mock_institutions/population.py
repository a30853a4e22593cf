"""The synthetic population: a seed, and nothing stored, yet every identity has one stable answer at every institution.

Anybody with the seed can compute what an institution must say: `Population(seed).answer(...)`. `people` says who is
who, `registry` who owns what, `things` under which number, and `catalogue` what the record looks like.
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
    """One line of a client's batch. `name` is empty for a thing."""

    ref: str
    type: SubjectType
    number: str
    name: str


class Population:
    """Everybody and everything, under one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._people = People(seed)
        self._registries: dict[Institution, Registry] = {}

    def person(self, index: int) -> Identity:
        """The person, or from `PERSONS` on the organisation, with ordinal `index` (0 to `POPULATION` - 1)."""
        return self._people.identity(index)

    def residents(self, indices: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """The numbers and the names of many persons, each as `person` gives it; ordinals from 0 to `PERSONS` - 1.

        There are 317,043,200,000 of them, so as many different ones as anybody may want to ask about.
        """
        return resident_ids(indices), self._people.person_names(indices)

    def registry(self, institution: Institution) -> Registry:
        """The records of one institution; made once."""
        if institution not in self._registries:
            self._registries[institution] = Registry(self.seed, institution)
        return self._registries[institution]

    def answer(self, institution: Institution, subject_type: SubjectType, number: str, name: str = "") -> Answer:
        """What the institution must say about a subject, whoever asks and whenever."""
        registry = self.registry(institution)
        return registry.answer(registry.find(subject_type, number, name))

    def encoded_answers(
        self,
        institution: Institution,
        subject_types: Sequence[SubjectType],
        numbers: Sequence[str],
        names: Sequence[str],
    ) -> list[bytes]:
        """`answer` for many subjects, to check replies in bulk: each as a contract's Answer, encoded.

        The bytes are those of outcome, problem and assets, in this order; what an answer says besides, which is where,
        as of when and from where it comes, is not the population's to know. Cut that out of an answer (from its third
        byte on stands observed_at) and what is left is equal; unless a broker encoded it anew in another order of
        fields, which parsing and serialising it undoes.
        """
        return ProtobufSplicer(self.registry(institution)).answers(subject_types, numbers, names)

    def sample(
        self, count: int, rng_seed: int, mix: Mix = "all", institutions: Sequence[Institution] = ()
    ) -> Iterator[Lookup]:
        """`count` lookups of people, organisations, or things which exist at one of the institutions.

        Of "all", 85 in 100 are persons, 10 organisations and 5 things; without institutions there are no things.
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
