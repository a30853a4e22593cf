"""A buffer returns the messages added to it, whether they fit into the allocated memory or not."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.message_buffer import MessageBuffer


@given(st.lists(st.binary(max_size=3000)), st.integers(0, 20_000))
def test_messages_come_back_in_order(messages: list[bytes], capacity: int) -> None:
    buffer = MessageBuffer(messages[:2], capacity=capacity)
    buffer.add(messages[2:])

    assert list(buffer) == messages
    assert len(buffer) == len(messages)
