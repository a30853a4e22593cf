"""The checker of the short benchmarks finds what is wrong: it must not be able to pass whatever it is given."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shelf import Shelf
from benchmarks.stage import FOUR
from benchmarks.traffic import Checker, Received, parted, sample
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population

SEED = 1
LOOKUPS = sample(SEED, 40)


def honest() -> pb.InvestigateResponse:
    """What a broker should say about all of them, as of some moment and from the cache."""
    population, mocks = Population(SEED), config.load()
    response = pb.InvestigateResponse()
    for position, one in enumerate(LOOKUPS):
        report = response.reports.add(ref=one.ref, position=position, final=True, complete=True)
        for name in sorted(FOUR):
            institution = mocks.find(name).institution
            (truth,) = population.encoded_answers(institution, [one.type], [one.number], [one.name])
            answer = report.answers.add(institution_id=name, source=pb.SOURCE_CACHE)
            answer.MergeFromString(truth)
            answer.observed_at.seconds = 1_795_000_000
    return response


def wrong_in(response: pb.InvestigateResponse) -> int:
    received = Received(lookups=len(LOOKUPS), kept=Shelf([response.SerializeToString()]))
    verdict = Checker(SEED, LOOKUPS, FOUR).check(received)
    assert verdict.reports == len(response.reports)
    return verdict.wrong


def test_the_truth_is_right() -> None:
    assert wrong_in(honest()) == 0


def deny(response: pb.InvestigateResponse) -> None:
    """A thing that was found is not."""
    found = next(a for r in response.reports for a in r.answers if a.outcome == inquiry_pb2.OUTCOME_FOUND)
    found.outcome = inquiry_pb2.OUTCOME_NOT_FOUND
    del found.assets[:]


def swap(response: pb.InvestigateResponse) -> None:
    """One institution's answer under the name of another."""
    finder = next(r for r in response.reports if len({a.outcome for a in r.answers}) > 1)
    first, second = finder.answers[0], finder.answers[1]
    first.institution_id, second.institution_id = second.institution_id, first.institution_id


def round_off(response: pb.InvestigateResponse) -> None:
    """A share too few, or a coin."""
    asset = next(x for r in response.reports for a in r.answers for x in a.assets if x.HasField("account"))
    asset.account.balance.units += 1


@pytest.mark.parametrize("spoil", [deny, round_off])
def test_one_wrong_answer_is_counted(spoil: Callable[[pb.InvestigateResponse], None]) -> None:
    response = honest()
    spoil(response)
    assert wrong_in(response) == 1


def test_answers_of_another_institution_are_wrong() -> None:
    response = honest()
    swap(response)
    assert wrong_in(response) >= 1


def test_a_missing_and_a_surplus_answer_are_wrong() -> None:
    response = honest()
    del response.reports[0].answers[0]
    response.reports[1].answers.add().CopyFrom(response.reports[1].answers[0])
    response.reports[2].answers.add(institution_id="nobody")
    assert wrong_in(response) == 3


def test_the_answers_to_another_lookup_are_wrong() -> None:
    response = honest()
    response.reports[0].ref, response.reports[1].ref = response.reports[1].ref, response.reports[0].ref
    found = {a.outcome for r in response.reports[:2] for a in r.answers}
    assert (wrong_in(response) > 0) == (inquiry_pb2.OUTCOME_FOUND in found)


REPORTS = st.lists(
    st.builds(pb.Report, ref=st.text(max_size=20), position=st.integers(0, 2**32 - 1), final=st.booleans()), max_size=4
)
SUMMARIES = st.builds(pb.Summary, lookups=st.integers(0, 2**32 - 1), request_id=st.text(max_size=200))


@given(reports=REPORTS, summary=SUMMARIES)
def test_the_last_message_is_parted(reports: list[pb.Report], summary: pb.Summary) -> None:
    said = pb.InvestigateResponse(reports=reports).SerializeToString()
    ending = pb.InvestigateResponse(summary=summary).SerializeToString()
    assert parted(said + ending) == (said, summary)


@pytest.mark.parametrize("summaries", [[], [pb.Summary(lookups=1)], [pb.Summary(lookups=1)] * 2])
def test_a_summary_that_is_not_once_and_last_is_noticed(summaries: list[pb.Summary]) -> None:
    said = pb.InvestigateResponse(reports=[pb.Report(ref="\x12\x00")]).SerializeToString()
    endings = [pb.InvestigateResponse(summary=summary).SerializeToString() for summary in summaries]
    with pytest.raises(ValueError, match="does not end with the summary"):
        parted(b"".join(endings) + said)
