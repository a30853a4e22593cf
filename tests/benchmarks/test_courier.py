"""Replies are counted exactly, without being read whole."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.courier import Outline, Reply
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb


def reports(*positions: int, final: bool = True) -> bytes:
    answers = [pb.Answer(institution_id="bank", outcome=inquiry_pb2.OUTCOME_FOUND, source=pb.SOURCE_CACHE)]
    each = [pb.Report(ref=f"{place:x}", position=place, final=final, answers=answers) for place in positions]
    return pb.InvestigateResponse(reports=each).SerializeToString()


def summary(lookups: int) -> bytes:
    return pb.InvestigateResponse(
        summary=pb.Summary(
            lookups=lookups,
            inquiries=2 * lookups,
            outcomes=[
                pb.OutcomeCount(outcome=inquiry_pb2.OUTCOME_FOUND, count=lookups),
                pb.OutcomeCount(outcome=inquiry_pb2.OUTCOME_UNAVAILABLE, count=lookups),
            ],
            sources=[pb.SourceCount(source=pb.SOURCE_CACHE, count=3), pb.SourceCount(source=pb.SOURCE_BROKER, count=1)],
        )
    ).SerializeToString()


def replied(asked: int, *messages: bytes) -> Reply:
    reply = Reply(asked=asked)
    for message in messages:
        reply.add(message)
    return reply


def test_a_whole_reply_loses_nothing() -> None:
    reply = replied(3, reports(2, 0), reports(1), summary(3))
    assert (reply.lost, reply.surplus, reply.from_cache, reply.unanswered) == (0, 0, 3, 3)
    assert reply.summary.inquiries == 6


def test_a_report_that_is_not_final_is_none() -> None:
    assert replied(2, reports(0, 1, final=False), reports(0), summary(2)).lost == 1


def test_a_stream_without_its_summary_has_lost_all() -> None:
    assert replied(2, reports(0, 1)).lost == 2


def test_reports_nobody_asked_for_are_surplus() -> None:
    reply = replied(2, reports(0, 0, 1, 5), summary(2))
    assert (reply.lost, reply.surplus) == (0, 2)


@given(st.lists(st.integers(0, 20)), st.integers(1, 20))
def test_lost_and_surplus_are_what_sets_say(positions: list[int], asked: int) -> None:
    reply = replied(asked, reports(*positions), summary(asked))
    asked_for = set(positions) & set(range(asked))
    assert reply.lost == asked - len(asked_for)
    assert reply.surplus == len(positions) - len(asked_for)


def test_the_outline_has_positions_and_nothing_more() -> None:
    outline = Outline.FromString(reports(4, 2))
    assert [(report.position, report.final) for report in outline.reports] == [(4, True), (2, True)]
    assert not outline.summary


def test_the_summary_may_come_with_reports() -> None:
    reply = replied(2, reports(0), reports(1) + summary(2))
    assert (reply.lost, reply.surplus, reply.summary.lookups) == (0, 0, 2)
