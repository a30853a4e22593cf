"""Encoded lookups are valid, and differ; every request head is a mandate that the broker accepts."""

from datetime import date
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lookup_encoder import LookupEncoder, courts, request_head
from benchmarks.workload import ORGANISATION, PERSON, PROPERTY
from broker.core.subjects.court import parse_court
from broker.core.subjects.mandate import read_mandate
from broker.core.subjects.names import read_names
from broker.core.subjects.numbers import normalise_numbers
from broker.model import Level, Subject, SubjectType
from broker.v1 import investigation_pb2 as pb

TODAY = date(2026, 11, 23)


def test_there_are_as_many_courts_of_each_level_as_in_the_country() -> None:
    levels = [parse_court(code).level for code in courts()]
    counts = {level: levels.count(level) for level in Level}
    assert counts == {Level.BASIC: 3140, Level.INTERMEDIATE: 409, Level.HIGH: 32, Level.SUPREME: 1}
    assert len(set(courts())) == len(courts())


def subject(lookup: pb.Lookup) -> Subject:
    match lookup.WhichOneof("subject"):
        case "person":
            person = lookup.person
            return Subject(SubjectType(person.document_type), person.document_number, person.name)
        case "organization":
            return Subject(SubjectType.ORGANIZATION_CODE, lookup.organization.code, lookup.organization.name)
        case _:
            field = lookup.property.WhichOneof("number") or ""
            return Subject(SubjectType[field.upper()], getattr(lookup.property, field), "")


def encoded(seed: int, kinds: list[int], first: int) -> list[pb.Lookup]:
    slices = LookupEncoder(seed).encode(np.array(kinds, np.uint8), first)
    return list(pb.InvestigateRequest.FromString(b"".join(slices)).lookups)


@given(st.integers(0, 2**32), st.integers(0, 30_000_000))
def test_subjects_are_valid_lookups(seed: int, first: int) -> None:
    kinds = [PERSON, ORGANISATION, PROPERTY, PERSON]
    lookups = encoded(seed, kinds, first)
    types, numbers, names = zip(*map(subject, lookups), strict=True)
    assert [lookup.ref for lookup in lookups] == [f"{first + index:x}" for index in range(len(kinds))]
    assert [lookup.WhichOneof("subject") for lookup in lookups] == ["person", "organization", "property", "person"]
    normal, faults, warnings = normalise_numbers(list(types), list(numbers), today=TODAY)
    assert not faults
    assert not warnings
    assert list(normal) == list(numbers)
    assert set(read_names(list(names))[1]) <= {2}  # properties have none


def test_persons_are_encoded_as_protobuf_does() -> None:
    for lookup in LookupEncoder(1).encode(np.full(50, PERSON, np.uint8), 1_000_000):
        assert pb.InvestigateRequest.FromString(lookup).SerializeToString(deterministic=True) == lookup


def test_subjects_differ() -> None:
    kinds = [PERSON, ORGANISATION, PROPERTY] * 200
    assert len({subject(lookup)[:2] for lookup in encoded(1, kinds, 0)}) == len(kinds)


@given(st.randoms(use_true_random=False))
def test_every_head_has_a_mandate_the_broker_accepts(rng: Random) -> None:
    given_ = pb.InvestigateRequest.FromString(request_head(rng, pb.PRIORITY_BULK)).mandate
    read = read_mandate(given_.court_code, given_.officer, given_.case_number, given_.legal_document)
    assert read.court.code == given_.court_code
