"""What the broker needs of an institution, and of a dialect to speak to one.

An `Institution` is asked in batches and answers in columns. A `Dialect` is pure, and one file: it turns a `Question`
into a body and a body into a `Reply`. What holds for every reply in any dialect is in `institutions.statement`.
"""

from typing import Protocol

from broker.model import InstitutionSpec, Kind, Question, Reply


class Institution(Protocol):
    """One answering system."""

    @property
    def spec(self) -> InstitutionSpec:
        """How the registry describes it."""

    async def ask(self, question: Question) -> Reply:
        """Asks a batch, once. Runs in trio; time-outs and retries are the caller's.

        Raises an `InstitutionError` when there is no usable reply. Cancelling it abandons the call for good: a late
        reply can reach nobody.
        """


class Dialect(Protocol):
    """A way of writing questions and reading replies."""

    content_type: str

    def encode(self, question: Question) -> bytes:
        """The body to send."""

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """The reply in a body received at `now` (seconds since the epoch) from an institution of this kind.

        Raises `BadReplyError` when the body as a whole is no reply to this question.
        """
