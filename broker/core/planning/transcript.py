"""What a request's answers are recorded by, where they are known as columns; so recording costs nothing per inquiry."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb


class Transcript(Protocol):
    """Takes note of the answers to one request. Positions are the lookups' in the request.

    A subject that a request looks up several times is noted at each of its positions, as each is answered.
    """

    @property
    def wanted(self) -> bool:
        """Whether anything is recorded. If not, the caller need not prepare what it would pass."""

    def served(self, columns: Sequence[int], positions: Sequence[int], heads: bytes) -> None:
        """Takes answers served from the cache: of each lookup, what precedes the segments in its record.

        See `core.wire.record`; `columns` are the institutions whose answers the records hold.
        """

    def served_partly(self, columns: Sequence[int], position: int, segments: Sequence[bytes]) -> None:
        """Takes answers to one lookup that were served from the cache, one per column."""

    def answered(
        self, column: int, positions: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """Takes the answers of one institution, aligned with `positions`."""

    def closed(self, columns: Sequence[int], position: int, *, outcome: Outcome, source: Source) -> None:
        """Takes the broker's own answer, the same in several columns."""

    def reported(self, reports: Iterable[pb.Report], columns: Mapping[str, int]) -> None:
        """Takes reports that came encoded. `columns` of the institutions, by id."""

    def passed_on(self, encoded: bytes) -> None:
        """Takes what another worker has recorded of its part of the request (`encoded`)."""

    def encoded(self) -> Sequence[bytes | memoryview]:
        """Everything, in pieces to be joined."""


class NoTranscript:
    """A `Transcript` that records nothing."""

    wanted = False

    def served(self, columns: Sequence[int], positions: Sequence[int], heads: bytes) -> None:
        """See `Transcript`."""

    def served_partly(self, columns: Sequence[int], position: int, segments: Sequence[bytes]) -> None:
        """See `Transcript`."""

    def answered(
        self, column: int, positions: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Transcript`."""

    def closed(self, columns: Sequence[int], position: int, *, outcome: Outcome, source: Source) -> None:
        """See `Transcript`."""

    def reported(self, reports: Iterable[pb.Report], columns: Mapping[str, int]) -> None:
        """See `Transcript`."""

    def passed_on(self, encoded: bytes) -> None:
        """See `Transcript`."""

    def encoded(self) -> Sequence[bytes | memoryview]:
        """See `Transcript`."""
        return ()


NO_TRANSCRIPT = NoTranscript()
