"""How a stream ends: the table of core/planning/report_stream.py row by row, and as a state machine."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.planning.report_stream import Producer, ReportStream

FAILURE = RuntimeError("lost")


def stream(*, items: bool, closed: bool, failed: bool) -> ReportStream:
    """A stream in one of the states of the table."""
    made = ReportStream()
    producers = [made.open_producer(), made.open_producer()]
    if items:
        producers[0].put([b"report"])
    if failed:
        producers[0].close(FAILURE)
    if closed:
        for producer in producers:
            producer.close()
    return made


@pytest.mark.parametrize(
    ("items", "closed", "failed", "taken", "has_ended", "is_ready"),
    [
        (True, False, False, [b"report"], False, True),
        (True, True, False, [b"report"], False, True),
        (True, True, True, [b"report"], False, True),
        (False, False, False, [], False, False),
        (False, True, False, [], True, True),
        (False, False, True, FAILURE, False, True),
        (False, True, True, FAILURE, False, True),
    ],
)
def test_each_state_of_the_table(
    items: bool, closed: bool, failed: bool, taken: object, has_ended: bool, is_ready: bool
) -> None:
    made = stream(items=items, closed=closed, failed=failed)
    assert (made.has_ended, made.is_ready()) == (has_ended, is_ready)
    if taken is FAILURE:
        with pytest.raises(RuntimeError, match="lost"):
            made.take()
    else:
        assert made.take() == taken
        assert made.size == 0


def test_enough_is_waited_for_only_while_more_can_come() -> None:
    made = ReportStream()
    producer = made.open_producer()
    producer.put([b"12345"])
    assert not made.is_ready(6)
    assert made.is_ready(5)
    producer.close()
    assert made.is_ready(6)


def test_a_closed_stream_takes_no_further_producer() -> None:
    made = ReportStream()
    made.open_producer().close()
    with pytest.raises(RuntimeError, match="last one was closed"):
        made.open_producer()


def test_a_producer_is_closed_once_and_adds_nothing_afterwards() -> None:
    made = ReportStream()
    first, second = made.open_producer(), made.open_producer()
    first.close()
    first.close(FAILURE)
    assert not first.is_open
    assert not made.is_ready(), "the second producer may still add"
    with pytest.raises(RuntimeError, match="closed producer"):
        first.put([b"late"])
    second.close()
    assert made.has_ended


class Streams(RuleBasedStateMachine):
    """Whatever producers do, everything put is taken once, in order, before the stream ends."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        self.stream = ReportStream(self._changed)
        self.producers: list[Producer] = [self.stream.open_producer()]
        self.put: list[bytes] = []
        self.taken: list[bytes] = []

    def _changed(self) -> None:
        self.changes += 1

    @precondition(lambda self: self.producers)
    @rule()
    def open_one_more(self) -> None:
        self.producers.append(self.stream.open_producer())

    @precondition(lambda self: self.producers)
    @rule(data=st.data(), item=st.binary(min_size=1, max_size=5))
    def put_an_item(self, data: st.DataObject, item: bytes) -> None:
        data.draw(st.sampled_from(self.producers)).put([item])
        self.put.append(item)

    @precondition(lambda self: self.producers)
    @rule(data=st.data())
    def close_one(self, data: st.DataObject) -> None:
        producer = data.draw(st.sampled_from(self.producers))
        before = self.changes
        producer.close()
        assert self.changes == before + 1
        self.producers.remove(producer)

    @rule()
    def take(self) -> None:
        self.taken += self.stream.take()

    @invariant()
    def it_ends_when_all_is_closed_and_taken(self) -> None:
        assert self.put[: len(self.taken)] == self.taken
        assert self.stream.size == sum(map(len, self.put[len(self.taken) :]))
        assert self.stream.has_ended == (not self.producers and self.put == self.taken)


TestStreams = Streams.TestCase
