"""Correct answers pass, and every kind of wrong answer is counted."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.answer_check import CheckResult, add_up
from benchmarks.expected_answers import ExpectedAnswers
from benchmarks.lookup_encoder import EncodedRequest, LookupEncoder
from benchmarks.workload import ORGANISATION, PERSON, PROPERTY
from broker.model import SubjectType
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.protobuf_dialect import fill

SEED = 3
KINDS = np.array([PERSON] * 20 + [ORGANISATION] * 5 + [PROPERTY] * 5, np.uint8)
LOOKUPS = pb.InvestigateRequest.FromString(b"".join(LookupEncoder(SEED).encode(KINDS, 0))).lookups
REQUEST = EncodedRequest(b"", list(range(len(KINDS))), is_bulk=True)
FOUR = {"bank": "mock-bank", "vehicle": "mock-vehicle", "securities": "mock-securities", "real": "mock-real-estate"}


def answer(name: str, lookup: pb.Lookup) -> pb.Answer:
    institution = config.load().find(name).institution
    answered = pb.Answer(institution_id=name)
    if lookup.HasField("property"):
        field = lookup.property.WhichOneof("number") or ""
        expected = Population(SEED).answer(institution, field.upper(), getattr(lookup.property, field))  # type: ignore[arg-type]
    elif lookup.HasField("person"):
        expected = Population(SEED).answer(
            institution, "RESIDENT_ID", lookup.person.document_number, lookup.person.name
        )
    else:
        organization = lookup.organization
        expected = Population(SEED).answer(institution, "ORGANIZATION_CODE", organization.code, organization.name)
    fill(answered, expected)
    return answered


def names(lookup: pb.Lookup) -> list[str]:
    if not lookup.HasField("property"):
        return list(FOUR.values())
    field = lookup.property.WhichOneof("number") or ""
    return [FOUR[field.partition("_")[0]]]


@pytest.fixture
def response() -> pb.InvestigateResponse:
    """The correct reports on all lookups."""
    return pb.InvestigateResponse(
        reports=[
            pb.Report(ref=lookup.ref, position=position, answers=[answer(name, lookup) for name in names(lookup)])
            for position, lookup in enumerate(LOOKUPS)
        ]
    )


def checked(response: pb.InvestigateResponse) -> CheckResult:
    return ExpectedAnswers(SEED, LOOKUPS.__getitem__).check(REQUEST, [response.SerializeToString()])


def test_correct_answers_pass(response: pb.InvestigateResponse) -> None:
    assert checked(response) == CheckResult(len(LOOKUPS), checked=25 * 4 + 5, wrong=0)
    assert any(answer.assets for report in response.reports for answer in report.answers)


def _outcome(report: pb.Report) -> None:
    report.answers[0].outcome = inquiry_pb2.OUTCOME_TIMED_OUT


def _missing(report: pb.Report) -> None:
    del report.answers[1]


def _twice(report: pb.Report) -> None:
    report.answers.append(report.answers[0])


def _other_institution(report: pb.Report) -> None:
    report.answers.add(institution_id="mock-bank-jing", outcome=inquiry_pb2.OUTCOME_NOT_FOUND)


def _asset(report: pb.Report) -> None:
    report.answers[0].assets.add()


@pytest.mark.parametrize("spoil", [_outcome, _missing, _twice, _other_institution, _asset])
def test_one_wrong_answer_is_counted(response: pb.InvestigateResponse, spoil: Callable[[pb.Report], None]) -> None:
    spoil(response.reports[4])
    assert checked(response).wrong == 1


def test_all_answers_under_another_ref_are_wrong(response: pb.InvestigateResponse) -> None:
    response.reports[4].ref, response.reports[5].ref = response.reports[5].ref, response.reports[4].ref
    assert checked(response).wrong == 8


def test_all_answers_about_no_lookup_are_wrong(response: pb.InvestigateResponse) -> None:
    response.reports[4].position = len(LOOKUPS)
    assert checked(response).wrong == 4


def test_broker_and_mocks_name_subject_types_alike() -> None:
    assert {kind.name for kind in SubjectType} >= {"RESIDENT_ID", "ORGANIZATION_CODE", "VEHICLE_PLATE"}


def test_results_add_up() -> None:
    assert add_up([CheckResult(1, 3, 1), CheckResult(2, 4, 0)]) == CheckResult(3, 7, 1)
    assert add_up([]) == CheckResult()
