"""What a worker tells its supervisor survives the pipe; what is no message is told apart."""

import pytest

from broker.runtime.worker_messages import Alive, Message, Progress, Ready, decode, encode


@pytest.mark.parametrize("message", [Progress("opening\nthe store", 60.0), Ready(7, "[::1]:1", "h:2"), Alive()])
def test_a_message_is_one_line_and_comes_back(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line.rstrip(b"\n")) == message


@pytest.mark.parametrize("line", [b"", b"Hello", b"\xff", b"{}", b'{"type":"ready"}', b'{"type":"of a later version"}'])
def test_what_is_no_message_is_none(line: bytes) -> None:
    assert decode(line) is None


def test_a_later_version_may_say_more() -> None:
    assert decode(b'{"type":"alive","load":0.5}') == Alive()
