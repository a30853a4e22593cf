"""An institution reached over HTTP, in any dialect."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from broker.institutions.base import Dialect
from broker.model import InstitutionSpec, Question, Reply

# A reply is decoded on the broker's only thread: these bounds keep what a malicious one costs to a fraction of a second
# where little was asked, and to a second or two at most.
_LONGEST_REPLY = 16 * 1024 * 1024  # bytes, whatever was asked
_FOR_ONE = 1024 * 1024  # bytes; the longest answer handed on (256 KiB of protobuf) takes four times that in JSON
_FOR_EACH = 16 * 1024  # bytes an inquiry adds: some 20 accounts in JSON, as the average of a batch


class Post(Protocol):
    """Sends a body to a URL and returns the reply's, of at most `longest` bytes. Raises `InstitutionError`."""

    async def __call__(self, url: str, body: bytes, *, content_type: str, longest: int) -> bytes:
        """Awaited in the loop in which the institution is asked."""


class HttpInstitution:
    """See `Institution`; except that it runs in the loop of `post`."""

    def __init__(
        self,
        spec: InstitutionSpec,
        dialect: Dialect,
        *,
        post: Post,
        turn: Callable[[int], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """`turn` waits until a step of work on so many inquiries may begin. `clock` gives seconds since the epoch."""
        self.spec = spec
        self._dialect = dialect
        self._post = post
        self._turn = turn
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        size = len(question.subjects)
        await self._turn(size)
        body = await self._post(
            self.spec.url,
            self._dialect.encode(question),
            content_type=self._dialect.content_type,
            longest=_longest_reply(size),
        )
        await self._turn(size)
        return self._dialect.decode(body, question, kind=self.spec.kind, now=int(self._clock()))


def _longest_reply(inquiries: int) -> int:
    """Bytes of a reply: whoever was asked little must not make the broker read much."""
    return min(_FOR_ONE + inquiries * _FOR_EACH, _LONGEST_REPLY)
