"""What a broken stream had said is not said again, and the lookup is as complete as all that was said."""

import pytest

from broker.core.planning.resume import Resumption
from broker.model import Outcome
from broker.v1 import investigation_pb2 as pb

FOUND, NOT_FOUND, TIMED_OUT = Outcome.FOUND, Outcome.NOT_FOUND, Outcome.TIMED_OUT


def report(*answers: tuple[str, Outcome], final: bool = False, complete: bool = False, position: int = 0) -> pb.Report:
    made = pb.Report(position=position, final=final, complete=complete)
    for institution, outcome in answers:
        made.answers.add(institution_id=institution, outcome=int(outcome))
    return made


def said(one: pb.Report) -> list[tuple[str, int]]:
    return [(answer.institution_id, int(answer.outcome)) for answer in one.answers]


def test_a_final_report_that_nothing_went_before_stays_as_it_is() -> None:
    resumption = Resumption()
    one = report(("bank", TIMED_OUT), final=True)
    assert resumption.take(one)
    assert said(one) == [("bank", TIMED_OUT)]
    assert (resumption.finished, resumption.complete) == ({0}, False)


@pytest.mark.parametrize(
    ("first", "second", "passed_on", "complete"),
    [
        ([("bank", FOUND)], [("bank", FOUND), ("vehicle", NOT_FOUND)], [("vehicle", NOT_FOUND)], True),
        ([("bank", FOUND)], [("bank", TIMED_OUT), ("vehicle", NOT_FOUND)], [("vehicle", NOT_FOUND)], True),
        ([("bank", TIMED_OUT)], [("bank", FOUND), ("vehicle", NOT_FOUND)], [("vehicle", NOT_FOUND)], False),
        ([("bank", FOUND), ("vehicle", FOUND)], [("bank", FOUND), ("vehicle", FOUND)], [], True),
        ([("bank", FOUND)], [("bank", FOUND), ("vehicle", TIMED_OUT)], [("vehicle", TIMED_OUT)], False),
    ],
)
def test_of_an_institutions_answers_the_first_stands(
    first: list[tuple[str, Outcome]],
    second: list[tuple[str, Outcome]],
    passed_on: list[tuple[str, Outcome]],
    complete: bool,
) -> None:
    resumption = Resumption()
    assert resumption.take(report(*first))
    again = report(*second, final=True, complete=False)
    assert resumption.take(again), "a final report is passed on even if nothing is new in it"
    assert said(again) == passed_on
    assert (again.complete, resumption.complete) == (complete, complete)


def test_an_increment_with_nothing_new_is_not_passed_on() -> None:
    resumption = Resumption()
    resumption.take(report(("bank", FOUND)))
    assert not resumption.take(report(("bank", FOUND)))


def test_lookups_are_told_by_position() -> None:
    resumption = Resumption()
    resumption.take(report(("bank", FOUND), position=1))
    other = report(("bank", FOUND), position=2, final=True, complete=True)
    assert resumption.take(other)
    assert said(other) == [("bank", FOUND)]
    assert resumption.finished == {2}


def test_a_finished_lookup_is_not_reported_on_again() -> None:
    resumption = Resumption()
    resumption.take(report(final=True, complete=True))
    with pytest.raises(ValueError, match="final report"):
        resumption.take(report(("bank", FOUND)))
