"""What is recorded of the answers to one request, for the audit log: blocks of columns (`audit.material`)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from broker.audit.material import AnswersBlock, HitsBlock, encode_blocks
from broker.core.wire.encoding import outcome_of
from broker.core.wire.observed import observed_times
from broker.core.wire.record import heads_of
from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb


class RecordedTranscript:
    """A `Transcript` that keeps everything. State: the blocks so far, and those that came encoded, from peers."""

    wanted = True

    def __init__(self) -> None:
        self._blocks: list[HitsBlock | AnswersBlock] = []
        self._encoded: list[bytes] = []
        self._closed: dict[tuple[tuple[int, ...], Outcome, Source], list[int]] = defaultdict(list)

    def served(self, columns: Sequence[int], positions: Sequence[int], heads: bytes) -> None:
        """See `Transcript`."""
        self._blocks.append(HitsBlock(tuple(columns), _places(positions), heads))

    def served_partly(self, columns: Sequence[int], position: int, segments: Sequence[bytes]) -> None:
        """See `Transcript`."""
        head = np.zeros(1, heads_of(len(segments)))
        head["count"] = len(segments)
        head["outcomes"] = [outcome_of(segment) for segment in segments]
        head["each"]["observed"] = observed_times(segments)
        self.served(columns, [position], head.tobytes())

    def answered(
        self, column: int, positions: Sequence[int], *, segments: Sequence[bytes], outcomes: bytes, source: Source
    ) -> None:
        """See `Transcript`."""
        if segments:
            times = observed_times(segments)
            self._blocks.append(AnswersBlock(column, _places(positions), outcomes, times, source))

    def closed(self, columns: Sequence[int], position: int, *, outcome: Outcome, source: Source) -> None:
        """See `Transcript`."""
        self._closed[tuple(columns), outcome, source].append(position)

    def reported(self, reports: Iterable[pb.Report], columns: Mapping[str, int]) -> None:
        """Takes reports that came encoded. `columns` of the institutions, by id."""
        for report in reports:
            for answer in report.answers:
                if answer.institution_id:
                    column, time = columns[answer.institution_id], answer.observed_at.seconds
                    self._add(column, [report.position], bytes((answer.outcome,)), time, Source(answer.source))

    def passed_on(self, encoded: bytes) -> None:
        """Takes what another worker has recorded of its part of the request (`encoded`)."""
        self._encoded.append(encoded)

    def encoded(self) -> Sequence[bytes | memoryview]:
        """Everything, in pieces to be joined."""
        for (columns, outcome, source), positions in self._closed.items():
            for column in columns:
                self._add(column, positions, bytes((outcome,)) * len(positions), 0, source)
        self._closed.clear()
        return [*encode_blocks(self._blocks), *self._encoded]

    def _add(self, column: int, positions: Sequence[int], outcomes: bytes, time: int, source: Source) -> None:
        times = np.full(len(positions), time, np.uint32)
        self._blocks.append(AnswersBlock(column, _places(positions), outcomes, times, source))


def _places(positions: Sequence[int]) -> NDArray[np.uint32]:
    if isinstance(positions, range):
        return np.arange(positions.start, positions.stop, positions.step, dtype=np.uint32)
    return np.array(positions, np.uint32)
