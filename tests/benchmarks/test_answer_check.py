"""The checker of the short benchmarks counts every kind of wrong answer."""

from collections.abc import Callable

import pytest

from benchmarks.answer_check import AnswerChecker
from benchmarks.load_generator import sample
from benchmarks.testbed import FOUR
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population

SEED = 1
LOOKUPS = sample(SEED, 40)


def correct() -> pb.InvestigateResponse:
    """The correct reports on all lookups, observed at some time and served from the cache."""
    population, mocks = Population(SEED), config.load()
    response = pb.InvestigateResponse()
    for position, one in enumerate(LOOKUPS):
        report = response.reports.add(ref=one.ref, position=position, final=True, complete=True)
        for name in sorted(FOUR):
            institution = mocks.find(name).institution
            (expected,) = population.encoded_answers(institution, [one.type], [one.number], [one.name])
            answer = report.answers.add(institution_id=name, source=pb.SOURCE_CACHE)
            answer.MergeFromString(expected)
            answer.observed_at.seconds = 1_795_000_000
    return response


def wrong_in(response: pb.InvestigateResponse) -> int:
    check = AnswerChecker(SEED, LOOKUPS, FOUR).check([response.SerializeToString()])
    assert check.reports == len(response.reports)
    return check.wrong


def test_correct_reports_pass() -> None:
    assert wrong_in(correct()) == 0


def deny(response: pb.InvestigateResponse) -> None:
    """FOUND becomes NOT_FOUND."""
    found = next(a for r in response.reports for a in r.answers if a.outcome == inquiry_pb2.OUTCOME_FOUND)
    found.outcome = inquiry_pb2.OUTCOME_NOT_FOUND
    del found.assets[:]


def swap(response: pb.InvestigateResponse) -> None:
    """Two institutions' answers are exchanged."""
    finder = next(r for r in response.reports if len({a.outcome for a in r.answers}) > 1)
    first, second = finder.answers[0], finder.answers[1]
    first.institution_id, second.institution_id = second.institution_id, first.institution_id


def change_balance(response: pb.InvestigateResponse) -> None:
    """A balance differs by one."""
    asset = next(x for r in response.reports for a in r.answers for x in a.assets if x.HasField("account"))
    asset.account.balance.units += 1


@pytest.mark.parametrize("spoil", [deny, change_balance])
def test_one_wrong_answer_is_counted(spoil: Callable[[pb.InvestigateResponse], None]) -> None:
    response = correct()
    spoil(response)
    assert wrong_in(response) == 1


def test_answers_of_another_institution_are_wrong() -> None:
    response = correct()
    swap(response)
    assert wrong_in(response) >= 1


def test_a_missing_and_a_surplus_answer_are_wrong() -> None:
    response = correct()
    del response.reports[0].answers[0]
    response.reports[1].answers.add().CopyFrom(response.reports[1].answers[0])
    response.reports[2].answers.add(institution_id="nobody")
    assert wrong_in(response) == 3


def test_the_answers_to_another_lookup_are_wrong() -> None:
    response = correct()
    response.reports[0].ref, response.reports[1].ref = response.reports[1].ref, response.reports[0].ref
    found = {a.outcome for r in response.reports[:2] for a in r.answers}
    assert (wrong_in(response) > 0) == (inquiry_pb2.OUTCOME_FOUND in found)


def remove_answer(position: int) -> Callable[[pb.InvestigateResponse], None]:
    def remove(response: pb.InvestigateResponse) -> None:
        del response.reports[position].answers[0]

    return remove


def test_a_sample_of_the_reports_can_be_checked() -> None:
    """What is wrong in the others is not seen, and what is wrong in the sample is."""
    checker, response = AnswerChecker(SEED, LOOKUPS, FOUR), correct()
    for report in response.reports[1::2]:
        del report.answers[:]
    sampled = len(LOOKUPS) // 2 * len(FOUR)
    for wrong, spoil in enumerate([lambda _: None, *[remove_answer(position) for position in (0, 2, 38)]]):
        spoil(response)
        check = checker.check([response.SerializeToString()], every=2)
        assert (check.reports, check.checked, check.wrong) == (len(LOOKUPS), sampled, wrong)
