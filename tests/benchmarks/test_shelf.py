"""What is put on a shelf is what comes down, whether there was room or not."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shelf import Shelf


@given(st.lists(st.binary(max_size=3000)), st.integers(0, 20_000))
def test_messages_come_back_in_order(messages: list[bytes], room: int) -> None:
    shelf = Shelf(messages[:2], room=room)
    shelf.put(messages[2:])

    assert list(shelf) == messages
    assert len(shelf) == len(messages)
