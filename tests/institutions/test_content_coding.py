"""Content codings: what is read, as what, and what is refused. A case is a line."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadReplyError
from broker.institutions.content_coding import decoder

PLAIN = b'{"request_id":"1","replies":[]}'
FIRST, SECOND = PLAIN[:10], PLAIN[10:]
MEMBER = gzip.compress(PLAIN)
MEMBERS = gzip.compress(FIRST) + gzip.compress(SECOND)
STREAM = zlib.compress(PLAIN)


def decoded(encodings: list[str], body: bytes, *, piece: int = 1 << 16) -> bytes:
    """The content of a body that comes in pieces of this size."""
    decoding = decoder(encodings)
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    content = b"".join(plain for part in pieces for plain in decoding.feed(part))
    decoding.end()
    return content


@pytest.mark.parametrize(
    ("encodings", "body"),
    [
        ([], PLAIN),
        ([""], PLAIN),
        (["identity"], PLAIN),
        (["Identity"], PLAIN),
        ([" , "], PLAIN),
        (["identity, identity"], PLAIN),
        (["gzip"], MEMBER),
        (["GZIP"], MEMBER),
        ([" gzip "], MEMBER),
        (["x-gzip"], MEMBER),
        (["X-GZip"], MEMBER),
        (["gzip, identity"], MEMBER),
        (["identity", "gzip"], MEMBER),
        (["gzip"], MEMBERS),
        (["gzip"], gzip.compress(b"") + MEMBERS + gzip.compress(b"") * 100),
        (["x-gzip"], b"".join(gzip.compress(bytes([byte])) for byte in PLAIN)),
        (["deflate"], STREAM),
        (["Deflate"], STREAM),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_what_is_read(encodings: list[str], body: bytes, piece: int) -> None:
    assert decoded(encodings, body, piece=piece) == PLAIN


@pytest.mark.parametrize(
    ("encodings", "body"),
    [
        (["gzip"], PLAIN),
        (["gzip"], b""),
        (["gzip"], MEMBER + b"garbage"),
        (["gzip"], MEMBER + b"\0"),
        (["gzip"], MEMBER + STREAM),
        (["gzip"], MEMBER + PLAIN),
        (["gzip"], MEMBERS[:-1]),
        (["gzip"], MEMBERS[: len(gzip.compress(FIRST)) + 1]),
        (["gzip"], MEMBER[:-4] + bytes(4)),  # the wrong length
        (["gzip"], MEMBER[:-8] + bytes(4) + MEMBER[-4:]),  # the wrong checksum
        (["gzip"], gzip.compress(b"") * 1025),
        (["gzip"], STREAM),
        (["deflate"], PLAIN),
        (["deflate"], STREAM[:-1]),
        (["deflate"], STREAM + b"garbage"),
        (["deflate"], STREAM + STREAM),
        (["deflate"], MEMBER),
        (["gzip, gzip"], gzip.compress(MEMBER)),
        (["gzip", "gzip"], gzip.compress(MEMBER)),
        (["gzip, deflate"], zlib.compress(MEMBER)),
        (["br"], PLAIN),
        (["zstd"], PLAIN),
        (["compress"], PLAIN),
        (["gzip;q=1"], MEMBER),
        (["*"], PLAIN),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_what_is_refused(encodings: list[str], body: bytes, piece: int) -> None:
    with pytest.raises(BadReplyError):
        decoded(encodings, body, piece=piece)


@pytest.mark.parametrize("kept", range(len(MEMBERS)))
def test_a_part_of_a_compressed_reply_is_no_reply_unless_it_is_whole_members(kept: int) -> None:
    if kept == len(gzip.compress(FIRST)):
        assert decoded(["gzip"], MEMBERS[:kept]) == FIRST  # nothing tells that there was more; the JSON does
    else:
        with pytest.raises(BadReplyError):
            decoded(["gzip"], MEMBERS[:kept])


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=5), st.integers(1, 50))
def test_members_are_concatenated_wherever_they_are_cut(contents: list[bytes], piece: int) -> None:
    assert decoded(["gzip"], b"".join(map(gzip.compress, contents)), piece=piece) == b"".join(contents)


def test_a_bomb_is_opened_as_far_as_somebody_wants_it() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        pieces = decoder(["gzip"]).feed(bomb)
        assert [len(next(pieces)) for _ in range(3)] == [64 * 1024] * 3
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_member_without_content_is_a_piece_of_work_like_any_other() -> None:
    """Whoever counts pieces notices them."""
    assert len(list(decoder(["gzip"]).feed(gzip.compress(b"") * 100))) >= 100
