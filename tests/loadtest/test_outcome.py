"""What a request came to: a table of reports, right and wrong, and the faults they have."""

from collections.abc import Sequence
from typing import Any

import pytest

from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from loadtest.outcome import FACTS, MISSING, WRONG, judge
from mock_institutions.population import Lookup

LOOKUPS = [Lookup("0", "RESIDENT_ID", "1", "甲"), Lookup("1", "RESIDENT_ID", "2", "乙")]
EXPECTED = ("bank", "land")


def answer(institution: str, outcome: str = "NOT_FOUND", reason: str = "") -> pb.Answer:
    number: Any = inquiry_pb2.Outcome.Value(f"OUTCOME_{outcome}")
    made = pb.Answer(institution_id=institution, outcome=number)
    if reason:
        made.problem.reason = reason
    return made


def report(position: int, *answers: pb.Answer, ref: str = "") -> pb.Report:
    return pb.Report(position=position, ref=ref or str(position), final=True, answers=answers)


GOOD = [report(0, answer("bank"), answer("land", "FOUND")), report(1, answer("bank"), answer("land"))]


def right(_: Lookup, answer: pb.Answer) -> bool | None:
    """The bank's answers are right, the land registry's FOUND is wrong, and the rest is not known."""
    if answer.institution_id == "bank":
        return True
    return False if answer.outcome == inquiry_pb2.OUTCOME_FOUND else None


def nothing_known(_: Lookup, answer: pb.Answer) -> bool | None:  # noqa: ARG001
    return None


def test_a_good_request_has_no_faults() -> None:
    verdict = judge(LOOKUPS, GOOD, EXPECTED, nothing_known)
    assert not verdict.faults
    assert verdict.answers == {("bank", "NOT_FOUND"): 2, ("land", "FOUND"): 1, ("land", "NOT_FOUND"): 1}
    assert not verdict.checked


def test_answers_are_compared_where_the_truth_is_known() -> None:
    verdict = judge(LOOKUPS, GOOD, EXPECTED, right)
    assert verdict.checked == 3
    assert verdict.faults == {"land: wrong answer": 1}
    assert verdict.answers["land", WRONG] == 1
    assert not verdict.answers["land", "FOUND"]


@pytest.mark.parametrize(
    ("reports", "fault"),
    [
        ([], "missing report"),
        (GOOD[:1], "missing report"),
        ([GOOD[0], GOOD[0], GOOD[1]], "surplus report"),
        ([*GOOD, report(2, answer("bank"), answer("land"))], "surplus report"),
        ([GOOD[0], report(1, answer("bank"))], "land: no answer in the report"),
        ([GOOD[0], report(1)], "bank: no answer in the report"),
        ([GOOD[0], report(1, answer("bank"), answer("land"), answer("land"))], "an institution answered twice"),
        ([GOOD[0], report(1, answer("bank"), answer("land"), ref="0")], "a report has the ref of another lookup"),
        ([GOOD[0], report(1, answer("bank"), answer("land", "UNAVAILABLE"))], "land: UNAVAILABLE"),
        ([GOOD[0], report(1, answer("bank"), answer("land", "REFUSED", "NO_CASE"))], "land: REFUSED NO_CASE"),
        ([GOOD[0], report(1, answer("bank"), answer("land", "TIMED_OUT"))], "land: TIMED_OUT"),
        ([GOOD[0], report(1, answer("bank"), answer("land", "PENDING"))], "land: PENDING"),
        ([GOOD[0], report(1, answer("bank"), answer("land", "INVALID"))], "land: INVALID"),
        ([GOOD[0], report(1, answer("", "INVALID", "BAD_REF"))], "the broker: INVALID BAD_REF"),
    ],
)
def test_whatever_is_missing_or_no_fact_is_a_fault(reports: Sequence[pb.Report], fault: str) -> None:
    assert fault in judge(LOOKUPS, reports, EXPECTED, nothing_known).faults


def test_a_missing_institution_and_a_missing_report_are_counted() -> None:
    verdict = judge(LOOKUPS, [report(0, answer("bank"))], EXPECTED, nothing_known)
    assert verdict.answers == {("bank", "NOT_FOUND"): 1, ("land", MISSING): 2, ("bank", MISSING): 1}


def test_an_outcome_can_be_allowed() -> None:
    reports = [GOOD[0], report(1, answer("bank"), answer("land", "UNAVAILABLE"))]
    verdict = judge(LOOKUPS, reports, EXPECTED, nothing_known, FACTS | {"UNAVAILABLE"})
    assert not verdict.faults
    assert verdict.answers["land", "UNAVAILABLE"] == 1


def test_faults_name_neither_refs_nor_subjects() -> None:
    reports = [report(0, answer("bank", "UNAVAILABLE"), ref="debtor-7"), report(1, answer("land", "REFUSED", "X"))]
    for fault in judge(LOOKUPS, reports, EXPECTED, nothing_known).faults:
        assert not any(text in fault for text in ("debtor-7", "甲", "乙"))
