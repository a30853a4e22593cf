"""An institution reached over HTTP, in any dialect."""

from collections.abc import Awaitable, Callable

from broker.institutions.base import Dialect
from broker.model import InstitutionSpec, Question, Reply

Post = Callable[[str, bytes, str], Awaitable[bytes]]
"""Sends a body of some content type to a URL and returns the reply's; awaited in trio. Raises `InstitutionError`."""


class HttpInstitution:
    """See `Institution`."""

    def __init__(self, spec: InstitutionSpec, dialect: Dialect, *, post: Post, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self.spec = spec
        self._dialect = dialect
        self._post = post
        self._clock = clock

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        body = await self._post(self.spec.url, self._dialect.encode(question), self._dialect.content_type)
        return self._dialect.decode(body, question, kind=self.spec.kind, now=int(self._clock()))
