"""Reports are counted exactly, though messages are not parsed whole."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load_client import Outline, StreamResult
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb


def reports(*positions: int, final: bool = True) -> bytes:
    answers = [pb.Answer(institution_id="bank", outcome=inquiry_pb2.OUTCOME_FOUND, source=pb.SOURCE_CACHE)]
    each = [pb.Report(ref=f"{position:x}", position=position, final=final, answers=answers) for position in positions]
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


def received(lookups: int, *messages: bytes) -> StreamResult:
    result = StreamResult(lookups=lookups)
    for message in messages:
        result.add(message)
    return result


def test_a_complete_stream_has_lost_nothing() -> None:
    result = received(3, reports(2, 0), reports(1), summary(3))
    assert (result.lost, result.surplus, result.from_cache, result.unanswered) == (0, 0, 3, 3)
    assert result.summary.inquiries == 6


def test_a_lookup_without_a_final_report_is_lost() -> None:
    assert received(2, reports(0, 1, final=False), reports(0), summary(2)).lost == 1


def test_a_stream_without_its_summary_has_lost_everything() -> None:
    assert received(2, reports(0, 1)).lost == 2


def test_duplicate_and_unrequested_reports_are_surplus() -> None:
    result = received(2, reports(0, 0, 1, 5), summary(2))
    assert (result.lost, result.surplus) == (0, 2)


@given(st.lists(st.integers(0, 20)), st.integers(1, 20))
def test_lost_and_surplus_are_differences_of_sets(positions: list[int], lookups: int) -> None:
    result = received(lookups, reports(*positions), summary(lookups))
    requested = set(positions) & set(range(lookups))
    assert result.lost == lookups - len(requested)
    assert result.surplus == len(positions) - len(requested)


def test_the_outline_parses_positions_and_final_flags() -> None:
    outline = Outline.FromString(reports(4, 2))
    assert [(report.position, report.final) for report in outline.reports] == [(4, True), (2, True)]
    assert not outline.summary


def test_the_summary_may_come_with_the_last_reports() -> None:
    result = received(2, reports(0), reports(1) + summary(2))
    assert (result.lost, result.surplus, result.summary.lookups) == (0, 0, 2)
