"""An institution reached over HTTP, in any dialect."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from broker.institutions.interface import Dialect
from broker.model import InstitutionSpec, Question, Reply

# A reply is decoded on the event loop's thread. These limits bound the time that a malicious reply can take: a fraction
# of a second if few inquiries were sent, and a second or two at most.
_MAX_REPLY = 16 * 1024 * 1024  # bytes, for any number of inquiries
_BASE = 1024 * 1024  # bytes; the largest answer that is passed on (256 KiB of protobuf) is four times as large in JSON
_PER_INQUIRY = 16 * 1024  # bytes; about 20 accounts in JSON, as the average of a batch


class Post(Protocol):
    """Posts a body to a URL and returns the body of the reply, of at most `max_bytes`. Raises `InstitutionError`."""

    async def __call__(self, url: str, body: bytes, *, content_type: str, max_bytes: int) -> bytes:
        """Runs in the event loop in which the institution is asked."""


class HttpInstitution:
    """An `Institution` that runs in the event loop of `post`."""

    def __init__(
        self,
        spec: InstitutionSpec,
        dialect: Dialect,
        *,
        post: Post,
        turn: Callable[[int], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        """`turn` waits until work on this many inquiries may begin. `clock` returns seconds since the epoch."""
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
            max_bytes=_max_reply(size),
        )
        await self._turn(size)
        return self._dialect.decode(body, question, kind=self.spec.kind, now=int(self._clock()))


def _max_reply(inquiries: int) -> int:
    """The limit of a reply in bytes, which grows with the number of inquiries."""
    return min(_BASE + inquiries * _PER_INQUIRY, _MAX_REPLY)
