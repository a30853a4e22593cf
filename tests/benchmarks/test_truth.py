"""Right answers pass, and whatever is wrong with them is noticed."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.pool import Encoder, Request
from benchmarks.truth import Truth, Verdict, total
from benchmarks.workload import ORGANISATION, PERSON, THING
from broker.model import SubjectType
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.protobuf_dialect import fill

SEED = 3
KINDS = np.array([PERSON] * 20 + [ORGANISATION] * 5 + [THING] * 5, np.uint8)
LOOKUPS = pb.InvestigateRequest.FromString(b"".join(Encoder(SEED).encode(KINDS, 0))).lookups
REQUEST = Request(b"", list(range(len(KINDS))), is_bulk=True)
FOUR = {"bank": "mock-bank", "vehicle": "mock-vehicle", "securities": "mock-securities", "real": "mock-real-estate"}


def answer(name: str, lookup: pb.Lookup) -> pb.Answer:
    institution = config.load().find(name).institution
    said = pb.Answer(institution_id=name)
    if lookup.HasField("property"):
        field = lookup.property.WhichOneof("number") or ""
        truth = Population(SEED).answer(institution, field.upper(), getattr(lookup.property, field))  # type: ignore[arg-type]
    elif lookup.HasField("person"):
        truth = Population(SEED).answer(institution, "RESIDENT_ID", lookup.person.document_number, lookup.person.name)
    else:
        organization = lookup.organization
        truth = Population(SEED).answer(institution, "ORGANIZATION_CODE", organization.code, organization.name)
    fill(said, truth)
    return said


def names(lookup: pb.Lookup) -> list[str]:
    if not lookup.HasField("property"):
        return list(FOUR.values())
    field = lookup.property.WhichOneof("number") or ""
    return [FOUR[field.partition("_")[0]]]


@pytest.fixture
def response() -> pb.InvestigateResponse:
    """What a broker should say about all of them."""
    return pb.InvestigateResponse(
        reports=[
            pb.Report(ref=lookup.ref, position=place, answers=[answer(name, lookup) for name in names(lookup)])
            for place, lookup in enumerate(LOOKUPS)
        ]
    )


def judged(response: pb.InvestigateResponse) -> Verdict:
    return Truth(SEED, LOOKUPS.__getitem__).check(REQUEST, [response.SerializeToString()])


def test_right_answers_are_right(response: pb.InvestigateResponse) -> None:
    assert judged(response) == Verdict(checked=25 * 4 + 5, wrong=0)
    assert any(answer.assets for report in response.reports for answer in report.answers)


def _outcome(report: pb.Report) -> None:
    report.answers[0].outcome = inquiry_pb2.OUTCOME_TIMED_OUT


def _missing(report: pb.Report) -> None:
    del report.answers[1]


def _twice(report: pb.Report) -> None:
    report.answers.append(report.answers[0])


def _stranger(report: pb.Report) -> None:
    report.answers.add(institution_id="mock-bank-jing", outcome=inquiry_pb2.OUTCOME_NOT_FOUND)


def _asset(report: pb.Report) -> None:
    report.answers[0].assets.add()


@pytest.mark.parametrize("spoil", [_outcome, _missing, _twice, _stranger, _asset])
def test_one_wrong_answer_is_noticed(response: pb.InvestigateResponse, spoil: Callable[[pb.Report], None]) -> None:
    spoil(response.reports[4])
    assert judged(response).wrong == 1


def test_a_report_under_anothers_ref_is_wrong_altogether(response: pb.InvestigateResponse) -> None:
    response.reports[4].ref, response.reports[5].ref = response.reports[5].ref, response.reports[4].ref
    assert judged(response).wrong == 8


def test_a_report_on_no_lookup_is_wrong_altogether(response: pb.InvestigateResponse) -> None:
    response.reports[4].position = len(LOOKUPS)
    assert judged(response).wrong == 4


def test_types_have_the_same_names_on_both_sides() -> None:
    assert {kind.name for kind in SubjectType} >= {"RESIDENT_ID", "ORGANIZATION_CODE", "VEHICLE_PLATE"}


def test_verdicts_add_up() -> None:
    assert total([Verdict(3, 1), Verdict(4, 0)]) == Verdict(7, 1)
    assert total([]) == Verdict(0, 0)
