"""Calls to an institution, around transport and dialect: turns, the limit of a reply, and who decodes it."""

import pytest

from broker.errors import BadReplyError
from broker.institutions.decoding import Job
from broker.institutions.dialects import DIALECTS
from broker.institutions.reply_memory import LARGE
from broker.model import Kind, Question, Reply, Subject, SubjectType
from tests.fakes import MANDATE
from tests.institutions.over_http import Posted, ask, over_http

ALICE = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
MIB = 1 << 20


def question(items: int) -> Question:
    return Question("request-1", "mock-bank", 1, [MANDATE], [0] * items, [ALICE] * items)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_encoding_and_decoding_each_wait_for_their_turn(dialect: str) -> None:
    post = Posted(b"no reply")
    turns: list[tuple[int, bool]] = []

    async def turn(size: int) -> None:
        turns.append((size, bool(post.body)))

    with pytest.raises(BadReplyError):
        ask(over_http(dialect, post, turn=turn), question(3))
    assert turns == [(3, False), (3, True)]  # before the question is sent, and after


def test_a_long_reply_to_few_inquiries_waits_for_its_turn_like_one_to_many() -> None:
    turns: list[int] = []

    async def turn(size: int) -> None:
        turns.append(size)

    with pytest.raises(BadReplyError):
        ask(over_http("json", Posted(b" " * LARGE), turn=turn), question(1))
    assert turns == [1, LARGE // 256]


@pytest.mark.parametrize(
    ("items", "max_bytes"),
    [(1, MIB + MIB // 64), (64, 2 * MIB), (500, MIB + 500 * MIB // 64), (960, 16 * MIB), (5_000, 16 * MIB)],
)
def test_how_long_a_reply_may_be_follows_from_how_much_was_asked(items: int, max_bytes: int) -> None:
    post = Posted(b"\x0a\x09request-1")
    ask(over_http("protobuf", post), question(items))
    assert post.max_bytes == max_bytes


@pytest.mark.parametrize("size", [LARGE + 1, 2 * LARGE])
def test_a_large_reply_is_not_decoded_in_the_event_loop(size: int) -> None:
    """The turns are for steps in the loop: a large reply needs none after it has been received."""
    jobs: list[tuple[Job, bytes]] = []
    turns: list[int] = []
    reply = Reply(outcomes=b"\x02", contents=[b""], observed_at=[1])

    async def decode(job: Job) -> Reply:
        jobs.append((job._replace(pieces=[]), b"".join(job.pieces)))
        return reply

    async def turn(size: int) -> None:
        turns.append(size)

    asked = question(1)
    institution = over_http("json", Posted(b" " * size), turn=turn, decode_large=decode, now=1.9)
    assert ask(institution, asked) is reply
    assert jobs == [(Job("json", Kind.BANK, 1, asked, []), b" " * size)]
    assert turns == [1]


def test_an_error_does_not_keep_the_reply_in_its_frames() -> None:
    with pytest.raises(BadReplyError) as caught:
        ask(over_http("json", Posted(b"110105" * 10)), question(1))
    kept = [value for entry in caught.traceback for value in entry.frame.f_locals.values()]
    assert not any(b"110105" in bytes(value) for value in kept if isinstance(value, bytes | bytearray))
