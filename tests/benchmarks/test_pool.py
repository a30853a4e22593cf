"""Prepared requests are what a court would send, and portions give the whole schedule once."""

from datetime import date
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.crowd import Crowd
from benchmarks.pool import Encoder, Pool, Portions, courts, head, prepare
from benchmarks.workload import ORGANISATION, PERSON, THING, Shape
from broker.core.subjects.court import parse_court, read_mandate
from broker.core.subjects.identity import normalise_names, normalise_numbers
from broker.model import Level, Subject, SubjectType
from broker.v1 import investigation_pb2 as pb

SHAPE = Shape(inquiries=9_000, batch=100, interactive=2)
TODAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workload")
    prepare(folder, SHAPE)
    return folder


@pytest.fixture(scope="module")
def portions(folder: Path) -> Portions:
    return Portions(SHAPE, Pool(folder))


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
    slices = Encoder(seed).encode(np.array(kinds, np.uint8), first)
    return list(pb.InvestigateRequest.FromString(b"".join(slices)).lookups)


@given(st.integers(0, 2**32), st.integers(0, 30_000_000))
def test_subjects_are_valid_lookups(seed: int, first: int) -> None:
    kinds = [PERSON, ORGANISATION, THING, PERSON]
    lookups = encoded(seed, kinds, first)
    types, numbers, names = zip(*map(subject, lookups), strict=True)
    assert [lookup.ref for lookup in lookups] == [f"{first + place:x}" for place in range(len(kinds))]
    assert [lookup.WhichOneof("subject") for lookup in lookups] == ["person", "organization", "property", "person"]
    normal, faults = normalise_numbers(list(types), list(numbers), today=TODAY)
    assert not faults
    assert list(normal) == list(numbers)
    assert set(normalise_names(list(names))[1]) <= {2}  # things have none


def test_spliced_persons_are_what_protobuf_writes() -> None:
    for lookup in Encoder(1).encode(np.full(50, PERSON, np.uint8), 1_000_000):
        assert pb.InvestigateRequest.FromString(lookup).SerializeToString(deterministic=True) == lookup


def test_subjects_differ() -> None:
    kinds = [PERSON, ORGANISATION, THING] * 200
    assert len({subject(lookup)[:2] for lookup in encoded(1, kinds, 0)}) == len(kinds)


def test_portions_give_the_schedule(folder: Path, portions: Portions) -> None:
    requests = [request for number in range(portions.count) for request in portions.requests(number)]
    assert [one for request in requests for one in request.subjects] == Pool(folder).schedule.subjects.tolist()
    assert portions.searches(portions.count) == len(Pool(folder).schedule.subjects)


def test_a_portion_is_a_batch_and_single_lookups(portions: Portions) -> None:
    requests = portions.requests(3)
    assert [len(request.subjects) for request in requests] == [1, 1, 100]
    assert [request.is_bulk for request in requests] == [False, False, True]


def test_a_request_asks_about_its_subjects_as_urgently_as_it_should(portions: Portions) -> None:
    for request in portions.requests(5):
        message = pb.InvestigateRequest.FromString(request.body)
        assert message.priority == (pb.PRIORITY_BULK if request.is_bulk else pb.PRIORITY_INTERACTIVE)
        assert [int(lookup.ref, 16) for lookup in message.lookups] == request.subjects


def test_a_portion_is_the_same_each_time(folder: Path, portions: Portions) -> None:
    assert Portions(SHAPE, Pool(folder)).requests(7) == portions.requests(7)


def test_a_folder_is_filled_once(folder: Path) -> None:
    before = (folder / "lookups.bin").stat().st_mtime_ns
    prepare(folder, SHAPE)
    assert (folder / "lookups.bin").stat().st_mtime_ns == before


def test_a_subjects_lookup_can_be_had_alone(folder: Path) -> None:
    assert Pool(folder).lookup(17).ref == "11"


@given(st.randoms(use_true_random=False))
def test_every_head_is_a_mandate_the_broker_takes(rng: Random) -> None:
    given_ = pb.InvestigateRequest.FromString(head(rng, pb.PRIORITY_BULK)).mandate
    read = read_mandate(given_.court_code, given_.officer, given_.case_number, given_.legal_document)
    assert read.court.code == given_.court_code


def test_a_crowd_gives_nobody_away_twice() -> None:
    crowd = Crowd(1, known=30)
    crowd.enlarge(25)
    requests = [crowd.bulk(5, 10), crowd.one_fresh(), crowd.bulk(5, 10)]
    fresh = [one for request in requests for one in request.subjects if one >= crowd.known]
    assert fresh == list(range(30, 51))
    assert crowd.fresh == 4
    assert all(one < crowd.known for one in crowd.one_known().subjects)
    assert [one for request in crowd.introduction(20) for one in request.subjects] == list(range(30))
    assert crowd.lookup(40).ref == "28"
