"""Material: whom a request was about and what was answered, encoded by the batch."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from broker.audit.material import (
    AnswersBlock,
    HitsBlock,
    Inquired,
    answer_columns,
    decode_blocks,
    decode_inquired,
    encode_blocks,
)
from broker.core.wire.record import heads_of
from broker.model import Outcome, Source


def heads(count: int) -> NDArray[Any]:
    """Heads of records about so many subjects, of two institutions."""
    made = np.zeros(count, heads_of(2))
    made["count"] = 2
    made["outcomes"] = [Outcome.FOUND, Outcome.NOT_FOUND]
    made["each"]["observed"] = [[10 * at, 10 * at + 1] for at in range(count)]
    return made


HITS = HitsBlock((3, 1), np.array([5, 7, 6], np.uint32), heads(3).tobytes())
ANSWERS = AnswersBlock(
    2,
    np.array([0, 4], np.uint32),
    bytes([Outcome.FOUND, Outcome.TIMED_OUT]),
    np.array([8, 9], np.uint32),
    Source.BROKER,
)


def test_blocks_are_read_as_they_were_written() -> None:
    encoded = b"".join(encode_blocks([HITS, ANSWERS, HITS]))
    first, second, third = decode_blocks(encoded)
    for block in (first, third):
        assert isinstance(block, HitsBlock)
        assert block.columns == HITS.columns
        assert block.positions.tolist() == HITS.positions.tolist()
        assert block.heads == HITS.heads
    assert isinstance(second, AnswersBlock)
    assert (second.column, second.outcomes, second.source) == (ANSWERS.column, ANSWERS.outcomes, ANSWERS.source)
    assert second.positions.tolist() == [0, 4]
    assert second.observed.tolist() == [8, 9]


def test_answers_are_found_by_institution() -> None:
    found = [
        (each.column, each.positions.tolist(), each.outcomes.tolist(), each.observed.tolist(), each.source)
        for each in answer_columns([HITS, ANSWERS])
    ]
    assert found == [
        (3, [5, 7, 6], [Outcome.FOUND] * 3, [0, 10, 20], Source.CACHE),
        (1, [5, 7, 6], [Outcome.NOT_FOUND] * 3, [1, 11, 21], Source.CACHE),
        (2, [0, 4], [Outcome.FOUND, Outcome.TIMED_OUT], [8, 9], Source.BROKER),
    ]


def test_a_block_is_encoded_in_a_few_pieces_whatever_its_size() -> None:
    many = HitsBlock((0, 1), np.arange(1000, dtype=np.uint32), heads(1000).tobytes())
    assert len(encode_blocks([many])) == len(encode_blocks([HITS]))


def test_there_may_be_no_answers() -> None:
    assert list(decode_blocks(b"")) == []


@pytest.mark.parametrize("cut", range(1, len(b"".join(encode_blocks([ANSWERS])))))
def test_blocks_that_end_too_early_are_no_blocks(cut: int) -> None:
    with pytest.raises(ValueError, match="ends too early"):
        list(decode_blocks(b"".join(encode_blocks([ANSWERS]))[:cut]))


@pytest.mark.parametrize("kind", [3, 255])
def test_an_unknown_kind_is_no_block(kind: int) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        list(decode_blocks(bytes([kind]) + bytes(20)))


def test_a_zero_is_no_end() -> None:
    with pytest.raises(ValueError, match="after its end"):
        list(decode_blocks(b"".join(encode_blocks([ANSWERS])) + b"\0"))


INQUIRED = Inquired(("bank", "registry-京"), bytes(range(48)))


def test_an_inquiry_is_read_as_it_was_written() -> None:
    assert decode_inquired(b"".join(INQUIRED.encode())) == INQUIRED


@pytest.mark.parametrize("encoded", [b"".join(INQUIRED.encode())[:-1], b"".join(INQUIRED.encode()) + b"\0", b""])
def test_an_inquiry_of_another_size_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="material"):
        decode_inquired(encoded)


def test_a_subject_is_found_at_its_positions_alone() -> None:
    subject = bytes([1] * 15 + [2])
    between = bytes(8) + subject + bytes(8)  # it lies across two commitments
    assert Inquired((), subject + between + subject + subject).positions(subject) == [0, 3, 4]
