"""What workers tell each other comes out as it went in, and reports are never taken for the trailer."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.planning.tally import Tally
from broker.core.subjects.key import SIZE
from broker.model import Court, Delivery, Kind, Level, Mandate, Outcome, Priority, Request, Source, Subject, SubjectType
from broker.peers.messages import (
    ForwardRequest,
    Trailer,
    decode_forward_request,
    decode_trailer,
    encode_forward_request,
    encode_trailer,
    longest_forward_request,
)
from broker.v1 import investigation_pb2 as pb

# What protobuf calls a string: anything that UTF-8 can say.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=64) | st.sampled_from(
    [
        "张三",
        "（2026）京0101执123号",
        "𠮷野家",
        "a\0b",
        "\u202ebackwards",
        " \t\n",
        "é",
        "e\u0301",
        "\ufeff",
        "ref" * 21,
    ]
)
MANDATES = st.builds(
    Mandate,
    st.builds(Court, TEXT, st.sampled_from(Level), st.none() | TEXT),
    officer=TEXT,
    case_number=TEXT,
    legal_document=TEXT,
)
LINES = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),
        TEXT.map(str.encode),
        st.binary(min_size=SIZE, max_size=SIZE),
        st.builds(Subject, st.sampled_from(SubjectType), TEXT, TEXT),
    ),
    max_size=8,
)


@st.composite
def forward_requests(draw: st.DrawFn) -> ForwardRequest:
    lines = draw(LINES)
    return ForwardRequest(
        request=Request(
            mandate=draw(MANDATES),
            request_id=draw(TEXT),
            institution_ids=draw(st.lists(TEXT, max_size=4).map(tuple)),
            kinds=draw(st.frozensets(st.sampled_from(Kind))),
            max_age=draw(st.none() | st.floats(0, 1e9)),
            priority=draw(st.sampled_from(Priority)),
            delivery=draw(st.sampled_from(Delivery)),
        ),
        selected=draw(st.lists(TEXT, max_size=4).map(tuple)),
        time_left=draw(st.floats(-1e3, 1e3)),
        positions=[position for position, _, _, _ in lines],
        heads=[head for _, head, _, _ in lines],
        keys=[key for _, _, key, _ in lines],
        subjects=[subject for _, _, _, subject in lines],
    )


@settings(deadline=None, max_examples=60)
@given(forward_request=forward_requests())
def test_a_forward_request_is_decoded_as_it_was_encoded(forward_request: ForwardRequest) -> None:
    received = decode_forward_request(encode_forward_request(forward_request))
    assert received == forward_request
    assert type(received.request.delivery) is Delivery, "told apart by identity"
    assert type(received.request.priority) is Priority
    assert all(type(kind) is Kind for kind in received.request.kinds)
    assert all(type(subject) is Subject and type(subject.type) is SubjectType for subject in received.subjects)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"no forward_request", b"\xff" * 40])
def test_an_invalid_forward_request_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_forward_request(body)


@settings(deadline=None)
@given(
    counts=st.dictionaries(
        st.tuples(st.integers(0, 2), st.sampled_from(Source), st.sampled_from(Outcome)), st.integers(0, 2**40)
    ),
    complete=st.booleans(),
)
def test_a_trailer_contains_the_counts(
    counts: dict[tuple[int, Source, Outcome], int],
    complete: bool,
) -> None:
    tally = Tally(3)
    for place, count in counts.items():
        tally.counts[place] = count
    trailer = decode_trailer(encode_trailer(Trailer(b"the last", tally.counts.tobytes(), complete)))
    assert trailer is not None
    assert trailer.last == b"the last"
    assert trailer.complete is complete
    assert np.array_equal(np.frombuffer(trailer.counts, np.int64).reshape(tally.counts.shape), tally.counts)


REPORTS = st.builds(
    pb.Report,
    ref=TEXT,
    position=st.integers(0, 2**32 - 1),
    final=st.booleans(),
    complete=st.booleans(),
    answers=st.lists(st.builds(pb.Answer, institution_id=TEXT, outcome=st.integers(0, 7)), max_size=3),
)


@settings(deadline=None)
@given(response=st.builds(pb.InvestigateResponse, reports=st.lists(REPORTS, max_size=4)))
def test_reports_are_not_a_trailer(response: pb.InvestigateResponse) -> None:
    assert decode_trailer(response.SerializeToString()) is None


def test_a_trailer_is_not_reports() -> None:
    """Whoever passed it on by mistake would be found out."""
    message = encode_trailer(Trailer(b"", Tally(1).counts.tobytes(), complete=True))
    with pytest.raises(Exception, match="Error parsing message"):
        pb.InvestigateResponse.FromString(message)


def test_the_longest_request_makes_no_longer_forward_request_than_allowed() -> None:
    """Its texts are as long as they may be in all, and every lookup has several warnings."""
    lookups, request_bytes = 1_000, 100_000
    name, number = "欧" * 20, "9" * 20  # 80 bytes, of 100 that a lookup has
    forwarded = ForwardRequest(
        request=Request(
            mandate=Mandate(Court("沪0101", Level.BASIC, "沪"), "王", "1", "1"),
            institution_ids=(),
            kinds=frozenset(),
            max_age=None,
            priority=Priority.BULK,
            delivery=Delivery.COMPLETE,
            request_id="id",
        ),
        selected=tuple(f"{place:064}" for place in range(4_000)),
        time_left=1e9,
        positions=[2**32 - 1] * lookups,
        heads=[bytes(20 + 3 * 250)] * lookups,
        keys=[bytes(SIZE)] * lookups,
        subjects=[Subject(SubjectType.RESIDENT_ID, number, name)] * lookups,
    )
    assert len(encode_forward_request(forwarded)) <= longest_forward_request(request_bytes, lookups)
