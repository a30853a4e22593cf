"""When answers were observed: read many at a time, and the same as protobuf reads it."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.wire import encoding
from broker.core.wire.observed import observed_times
from broker.model import Outcome, Problem, Source
from broker.v1 import investigation_pb2 as pb

ids = st.text("abcdefghij-0123456789", min_size=1, max_size=64)
times = st.one_of(st.just(0), st.integers(1, (1 << 32) - 1), st.integers(1_700_000_000, 1_900_000_000))


@st.composite
def segments(draw: st.DrawFn) -> bytes:
    problem = Problem("REASON", "", "x" * draw(st.integers(0, 300))) if draw(st.booleans()) else None
    content = encoding.content(draw(st.sampled_from(Outcome)), observed_at=draw(times), problem=problem)
    content += bytes((0x2A, 0)) * draw(st.sampled_from([0, 0, 1, 50, 9_000]))  # assets
    return encoding.make_segments(draw(ids), [content], draw(st.sampled_from(Source)))[0]


def parsed(segment: bytes) -> int:
    return int(pb.Report.FromString(segment).answers[0].observed_at.seconds)


@given(st.lists(segments(), min_size=1, max_size=40))
def test_times_are_those_that_protobuf_reads(encoded: list[bytes]) -> None:
    assert observed_times(encoded).tolist() == list(map(parsed, encoded))


def test_fields_in_another_order_are_found_too() -> None:
    answer = pb.Answer(institution_id="b1", outcome=1)  # type: ignore[arg-type]
    answer.observed_at.seconds, answer.observed_at.nanos = 1_700_000_000, 5
    shuffled = b"\x1a\x08" + answer.observed_at.SerializeToString() + b"\x10\x01\x0a\x02b1"
    segment = b"\x2a" + bytes((len(shuffled),)) + shuffled
    assert observed_times([segment] * 20).tolist() == [1_700_000_000] * 20
