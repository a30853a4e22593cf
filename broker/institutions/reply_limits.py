"""What one reply may consist of on the wire, and when its reader has to let others go first.

The unit is a step: one event of the HTTP parser, which is a read, a chunk or an informational response, or one piece of
decompressed content. A step costs 10 to 20 µs whatever its size, so that a reply in one-byte chunks costs thousands of
times as much as the same reply in one piece. What is not ordinary is counted before it is parsed.
"""

from collections.abc import Sequence

from broker.errors import BadReplyError

_MAX_HEAD = 16 * 1024  # bytes of status line and headers, or of trailers, or of the line before a chunk; h11's default
_MAX_LINES = 128  # headers or trailers; aiohttp's default
_MAX_INFORMATIONAL = 8  # a server sends one or two (100, 103)
# Networks deliver 1,460 bytes at a time, in two steps, and servers that flush after each item send some 100 bytes.
_FREE_STEPS, _BYTES_PER_STEP = 2_048, 256
_FREE_FRAMING, _FRAMING_SHARE = 64 * 1024, 4  # bytes; a quarter of the content: 25 bytes around an item of 100
_TURN, _BYTES_AS_STEP = 32, 16 * 1024  # steps, and bytes that take as long as one; an ordinary reply takes 10 to 25
_DROPS, _DROP = 64, 64  # steps after which a reply with so few bytes in a step is read less often


class ReplyLimits:
    """Counts what one reply consists of. The methods raise `BadReplyError` when a limit is exceeded.

    State: the counts so far.
    """

    __slots__ = ("_content", "_informational", "_since_turn", "_steps", "_wire")

    def __init__(self) -> None:
        self._wire = 0
        self._content = 0
        self._informational = 0
        self._steps = 0
        self._since_turn = 0

    @property
    def turn_is_due(self) -> bool:
        """Whether others have to have their turns before the next step. Asking ends what was due."""
        if self._since_turn < _TURN:
            return False
        self._since_turn = 0
        return True

    @property
    def comes_in_drops(self) -> bool:
        """Whether the reply has come in very small pieces so far, each of which wakes its reader."""
        return self._steps > _DROPS and self._wire < self._steps * _DROP

    def received(self, size: int) -> None:
        """Counts bytes that were received, before they are parsed."""
        if self._wire > _FREE_FRAMING + self._content + self._content // _FRAMING_SHARE:
            msg = "the reply is mostly chunk headers and headers"
            raise BadReplyError(msg)
        self._wire += size

    def step(self, content: int = 0) -> None:
        """Counts a step of the parser, and the bytes of content that it gave."""
        self._steps += 1
        self._since_turn += 1 + content // _BYTES_AS_STEP
        self._content += content
        if self._steps > _FREE_STEPS + self._wire // _BYTES_PER_STEP:
            msg = "the reply comes in too many small pieces"
            raise BadReplyError(msg)

    def decoded(self, size: int) -> None:
        """Counts a piece of decoded content."""
        self.step()
        self._since_turn += size // _BYTES_AS_STEP

    def informational(self) -> None:
        """Counts an informational response (1xx)."""
        self._informational += 1
        if self._informational > _MAX_INFORMATIONAL:
            msg = f"more than {_MAX_INFORMATIONAL} informational responses (1xx) precede the reply"
            raise BadReplyError(msg)

    def unfinished(self, lines: bytes) -> None:
        """Checks lines that are not parsed yet, because they are not whole: headers, trailers, before a chunk."""
        if len(lines) > _MAX_HEAD or lines.count(b"\n") > _MAX_LINES:
            raise _too_many_headers()

    def headers(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Checks the headers of a response."""
        if len(headers) > _MAX_LINES or sum(len(name) + len(value) for name, value in headers) > _MAX_HEAD:
            raise _too_many_headers()


def _too_many_headers() -> BadReplyError:
    return BadReplyError(f"the reply has more than {_MAX_LINES} headers or {_MAX_HEAD} bytes of them")
