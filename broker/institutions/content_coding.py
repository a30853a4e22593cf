"""Content codings of replies (RFC 9110, section 8.4), decoded as the bytes come, within a limit.

gzip may have several members, whose contents are concatenated (RFC 1952). Whatever is not a whole member after them is
an error, since a part of the reply could be lost with it. Names of codings are case-insensitive, `x-gzip` is gzip, and
an empty list and `identity` are no coding. A reply with more than one coding is refused: the broker accepts only gzip.
"""

import zlib
from collections.abc import Iterator
from typing import Protocol

from broker.errors import BadReplyError

_STEP = 64 * 1024  # bytes decompressed at a time: a tenth of a millisecond
_GZIP, _ZLIB = zlib.MAX_WBITS | 16, zlib.MAX_WBITS
# BGZF, which has the smallest members in use, has at most 64 KiB in each: 256 in the largest reply.
_MAX_MEMBERS = 1024


class Decoder(Protocol):
    """Decodes one body. Raises `BadReplyError` if it is not what its coding says."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next plain bytes, in pieces of at most 64 KiB, which may be empty. Whoever has enough may stop."""

    def end(self) -> None:
        """Ends the body, and raises `BadReplyError` if it is not whole."""


def decoder(content_encodings: list[str]) -> Decoder:
    """The decoder for the values of the header Content-Encoding, which may occur several times."""
    listed = (coding.strip().lower() for value in content_encodings for coding in value.split(","))
    codings = [coding for coding in listed if coding not in ("", "identity")]
    match codings:
        case []:
            return _Identity()
        case ["gzip" | "x-gzip"]:
            return _Compressed(_GZIP)
        case ["deflate"]:
            return _Compressed(_ZLIB)
        case _:  # not quoted: errors are logged, and a header may contain anything
            msg = "the reply has a content coding that was not requested"
            raise BadReplyError(msg)


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        yield data

    def end(self) -> None:
        """See `Decoder`."""


class _Compressed:
    """State: the engine of the current member or stream, and how many have begun."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._engine = zlib.decompressobj(wbits)
        self._members = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder`."""
        while data:
            if self._engine.eof:
                self._begin_member()
            try:
                plain = self._engine.decompress(data, _STEP)
            except zlib.error:
                msg = "the compressed reply is corrupt, or something follows it"
                raise BadReplyError(msg) from None
            yield plain  # even if empty: a member without content is work, too
            data = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail

    def end(self) -> None:
        """See `Decoder`."""
        if not self._engine.eof:
            msg = "the compressed reply is truncated"
            raise BadReplyError(msg)

    def _begin_member(self) -> None:
        if self._wbits != _GZIP:
            msg = "something follows the compressed reply"
            raise BadReplyError(msg)
        self._members += 1
        if self._members > _MAX_MEMBERS:
            msg = f"the compressed reply has more than {_MAX_MEMBERS} members"
            raise BadReplyError(msg)
        self._engine = zlib.decompressobj(_GZIP)
