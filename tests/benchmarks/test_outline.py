"""What is parsed of a response, and what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.outline import outline, part
from broker.v1 import investigation_pb2 as pb

SUMMARIES = st.builds(pb.Summary, lookups=st.integers(0, 2**32 - 1), request_id=st.text(max_size=200))
REPORTS = st.lists(
    st.builds(
        pb.Report,
        ref=st.text(max_size=20),
        position=st.integers(0, 2**32 - 1),
        final=st.booleans(),
        answers=st.lists(st.builds(pb.Answer, outcome=st.integers(0, 7)), max_size=2),
    ),
    max_size=4,
)


@given(reports=REPORTS, summary=SUMMARIES)
def test_the_last_message_is_parted(reports: list[pb.Report], summary: pb.Summary) -> None:
    said = pb.InvestigateResponse(reports=reports).SerializeToString()
    ending = pb.InvestigateResponse(summary=summary).SerializeToString()
    assert part(said + ending) == (said, summary)


def test_a_summary_that_is_not_at_the_end_is_noticed() -> None:
    said = pb.InvestigateResponse(reports=[pb.Report(ref="a")]).SerializeToString()
    ending = pb.InvestigateResponse(summary=pb.Summary(lookups=1)).SerializeToString()
    with pytest.raises(ValueError, match="does not end with the summary"):
        part(ending + said)


def test_a_stream_without_a_summary_is_noticed() -> None:
    with pytest.raises(ValueError, match="does not end with the summary"):
        part(pb.InvestigateResponse(reports=[pb.Report(ref="a")]).SerializeToString())


@given(reports=REPORTS, summary=SUMMARIES)
def test_the_outline_has_positions_and_the_summary(reports: list[pb.Report], summary: pb.Summary) -> None:
    seen = outline(pb.InvestigateResponse(reports=reports, summary=summary).SerializeToString())
    assert [(each.position, each.final) for each in seen.reports] == [(each.position, each.final) for each in reports]
    assert pb.Summary.FromString(seen.summary) == summary
