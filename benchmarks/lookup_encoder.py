"""Encodes lookups and the heads of requests, so that a request is made by joining bytes.

The ref of a lookup is its subject's number in hexadecimal, the same in every request.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.testbed import FOUR
from benchmarks.workload import ORGANISATION, PERSON, PROPERTY
from broker.core.subjects.court import PROVINCES, SUPREME, XPCC
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.numbers import ORGANISATIONS, PERSONS
from mock_institutions.population import Population

# Of the 3,581 courts below the supreme one, 409 are intermediate and 3,140 basic; the others are the high courts, the
# Corps' included (China Justice Observer, "Are there courts in China").
_INTERMEDIATE, _BASIC = 409, 3140

_STRIDE = 2_654_435_761  # prime, and divides neither population: subjects are scattered over it, without repetition

# Tags of length-delimited fields: Lookup's ref and person, Person's name and document_number, the request's lookups.
_REF, _PERSON, _NAME, _NUMBER, _LOOKUPS = 0x0A, 0x12, 0x0A, 0x1A, 0x12
_RESIDENT_ID = b"\x10\x01"  # Person.document_type


class EncodedRequest(NamedTuple):
    """An encoded `InvestigateRequest`, and the subjects it asks about, by position."""

    body: bytes
    subjects: list[int]
    is_bulk: bool


def courts() -> list[str]:
    """The codes of the country's courts, of four levels."""
    regions = PROVINCES + XPCC
    intermediate = [f"{regions[n % len(regions)]}{n // len(regions) + 1:02d}" for n in range(_INTERMEDIATE)]
    basic = [f"{intermediate[n % _INTERMEDIATE]}{n // _INTERMEDIATE + 1:02d}" for n in range(_BASIC)]
    return [SUPREME, *regions, *intermediate, *basic]


_COURTS = courts()


def request_head(rng: Random, priority: pb.Priority) -> bytes:
    """A request without its lookups, in a case of a randomly drawn court of the country."""
    court = rng.choice(_COURTS)
    mandate = inquiry_pb2.Mandate(
        court_code=court,
        officer="基准测试",
        case_number=f"（2026）{court}执{rng.randint(1, 99_999)}号",
        legal_document="协助执行通知书",
    )
    return pb.InvestigateRequest(mandate=mandate, priority=priority).SerializeToString()


class LookupEncoder:
    """Encodes subjects as the field `lookups` of a request."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._population = Population(seed)
        mocks = config.load()
        self._registries = [self._population.registry(mocks.find(name).institution) for name in FOUR]

    def encode(self, kinds: NDArray[np.uint8], first: int) -> list[bytes]:
        """The lookups of the subjects with numbers from `first`, given the kind of each."""
        encoded = [b""] * len(kinds)
        persons = np.flatnonzero(kinds == PERSON)
        for index, lookup in zip(persons.tolist(), self._persons(persons + first), strict=True):
            encoded[index] = lookup
        for index in np.flatnonzero(kinds == ORGANISATION).tolist():
            encoded[index] = self._organisation(first + index)
        rng = Random(f"{self._seed}/{first}")
        for index in np.flatnonzero(kinds == PROPERTY).tolist():
            encoded[index] = self._property(first + index, rng)
        return encoded

    def _persons(self, subjects: NDArray[np.int64]) -> Iterator[bytes]:
        """Joined by hand: there are millions, and protobuf messages take four times as long."""
        indices = (subjects.astype(np.uint64) * np.uint64(_STRIDE) % np.uint64(PERSONS)).astype(np.int64)
        numbers, names = self._population.residents(indices)
        for subject, number, name in zip(subjects.tolist(), numbers, names, strict=True):
            person = _field(_NAME, name.encode()) + _RESIDENT_ID + _field(_NUMBER, number.encode())
            yield _field(_LOOKUPS, _field(_REF, b"%x" % subject) + _field(_PERSON, person))

    def _organisation(self, subject: int) -> bytes:
        _, code, name = self._population.person(PERSONS + subject * _STRIDE % ORGANISATIONS)
        return _encoded(pb.Lookup(ref=f"{subject:x}", organization=pb.Organization(name=name, code=code)))

    def _property(self, subject: int, rng: Random) -> bytes:
        number_type, number = rng.choice(self._registries).draw_thing(rng)
        named = pb.Property()
        setattr(named, number_type.lower(), number)
        return _encoded(pb.Lookup(ref=f"{subject:x}", property=named))


def _field(tag: int, content: bytes) -> bytes:
    """A field of up to 127 bytes."""
    return b"%c%c%b" % (tag, len(content), content)


def _encoded(lookup: pb.Lookup) -> bytes:
    return pb.InvestigateRequest(lookups=[lookup]).SerializeToString()
