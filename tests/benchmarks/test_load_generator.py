"""The last message of a stream is split into its reports and its summary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load_generator import split_last
from broker.v1 import investigation_pb2 as pb

REPORTS = st.lists(
    st.builds(pb.Report, ref=st.text(max_size=20), position=st.integers(0, 2**32 - 1), final=st.booleans()), max_size=4
)
SUMMARIES = st.builds(pb.Summary, lookups=st.integers(0, 2**32 - 1), request_id=st.text(max_size=200))


@given(reports=REPORTS, summary=SUMMARIES)
def test_the_last_message_is_split_last(reports: list[pb.Report], summary: pb.Summary) -> None:
    before = pb.InvestigateResponse(reports=reports).SerializeToString()
    ending = pb.InvestigateResponse(summary=summary).SerializeToString()
    assert split_last(before + ending) == (before, summary)


@pytest.mark.parametrize("summaries", [[], [pb.Summary(lookups=1)], [pb.Summary(lookups=1)] * 2])
def test_a_missing_repeated_or_misplaced_summary_is_an_error(summaries: list[pb.Summary]) -> None:
    before = pb.InvestigateResponse(reports=[pb.Report(ref="\x12\x00")]).SerializeToString()
    endings = [pb.InvestigateResponse(summary=summary).SerializeToString() for summary in summaries]
    with pytest.raises(ValueError, match="does not end with the summary"):
        split_last(b"".join(endings) + before)
