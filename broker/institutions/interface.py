"""The interfaces of institutions and dialects.

An `Institution` is asked in batches and answers in columns. A `Dialect` is pure: it encodes a `Question` as the body of
a request, and decodes the body of the response to a `Reply`. The checks that apply to replies in every dialect are in
`institutions.reply_check`.
"""

from typing import Protocol

from broker.model import InstitutionSpec, Kind, Question, Reply


class Institution(Protocol):
    """A system that answers inquiries."""

    @property
    def spec(self) -> InstitutionSpec:
        """Its configuration."""

    async def ask(self, question: Question) -> Reply:
        """Sends a batch, once. Runs in trio. Time-outs and retries are up to the caller.

        Raises `InstitutionError` if there is no usable reply. When cancelled, it drops the connection, so that a late
        reply is never taken for the reply to another call.
        """


class Dialect(Protocol):
    """A format of questions and replies."""

    content_type: str

    def encode(self, question: Question) -> bytes:
        """The body of the request."""

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """The reply in the body of a response from an institution of this kind.

        `now` is when it was received, in seconds since the epoch. Raises `BadReplyError` if the body as a whole is not
        a reply to this question.
        """
