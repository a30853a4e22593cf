"""What one reply may consist of, by tables."""

import pytest

from broker.errors import BadReplyError
from broker.institutions.reply_limits import ReplyLimits


def read(limits: ReplyLimits, *, steps: int, size: int = 0, content: int = 0) -> int:
    """How many steps of that size and content are allowed, at most `steps`."""
    for done in range(steps):
        try:
            limits.received(size)
            limits.step(content)
        except BadReplyError:
            return done
    return steps


@pytest.mark.parametrize(
    ("steps", "size", "content"),
    [
        (2_048, 100, 100),  # an item of 100 bytes in each chunk or read
        (23_000, 730, 730),  # 16 MiB in packets of 1,460 bytes, each in two steps
        (256, 65_536, 65_536),
        (1_000, 125, 100),  # a quarter of framing
    ],
)
def test_what_honest_servers_send_is_allowed(steps: int, size: int, content: int) -> None:
    assert read(ReplyLimits(), steps=steps, size=size, content=content) == steps


@pytest.mark.parametrize(
    ("size", "content", "allowed"),
    [
        (6, 1, 2_080),  # one-byte chunks
        (1, 1, 2_050),  # a trickle
        (0, 0, 2_050),  # nothing at all
        (4_000, 1, 20),  # long chunk extensions
    ],
)
def test_small_pieces_and_framing_are_limited(size: int, content: int, allowed: int) -> None:
    assert 0 < read(ReplyLimits(), steps=10_000, size=size, content=content) <= allowed * 1.05


def test_informational_responses_are_limited() -> None:
    limits = ReplyLimits()
    for _ in range(8):
        limits.informational()
    with pytest.raises(BadReplyError):
        limits.informational()


@pytest.mark.parametrize(
    ("lines", "is_allowed"),
    [
        (b"", True),
        (b"a: b\r\n" * 128, True),
        (b"a: b\r\n" * 129, False),
        (b"a\n" * 129, False),
        (b"x" * 16_384, True),
        (b"x" * 16_385, False),
    ],
)
def test_unfinished_lines_are_limited(lines: bytes, is_allowed: bool) -> None:
    if is_allowed:
        ReplyLimits().unfinished(lines)
    else:
        with pytest.raises(BadReplyError):
            ReplyLimits().unfinished(lines)


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        ([], True),
        ([(b"a", b"b")] * 128, True),
        ([(b"a", b"b")] * 129, False),
        ([(b"a", b"b" * 16_383)], True),
        ([(b"a", b"b" * 16_384)], False),
    ],
)
def test_headers_are_limited(headers: list[tuple[bytes, bytes]], is_allowed: bool) -> None:
    if is_allowed:
        ReplyLimits().headers(headers)
    else:
        with pytest.raises(BadReplyError):
            ReplyLimits().headers(headers)


def test_others_have_their_turns_between_some_steps_and_an_ordinary_reply_never_waits() -> None:
    limits, due = ReplyLimits(), []
    for number in range(100):
        limits.step()
        if limits.turn_is_due:
            due.append(number + 1)
    assert due == [32, 64, 96]
