"""What several chunks of a request have missed, gathered until it is worth a call to each institution."""

from collections import defaultdict

from broker.core.planning.chunk import Chunk
from broker.core.planning.parcel import Parcel, Submission, Waiter
from broker.core.planning.plan import Plan
from broker.core.subjects.name_standard import may_differ
from broker.model import Request, Subject


class GatheredMisses:
    """State: keys, subjects and rows of the lookups missed: aligned columns; and who is asked about which of them."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._subjects: list[Subject] = []
        self._rows: list[int] = []
        self._asked: defaultdict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, planned: Plan, chunk: Chunk, *, first_row: int) -> None:
        """Adds what a chunk has missed; its rows are numbered from `first_row`."""
        first = len(self._keys)
        subjects = chunk.columns.subjects[:]
        self._keys += [chunk.columns.keys[index] for index in planned.misses]
        self._subjects += [subjects[index] for index in planned.misses]
        self._rows += range(first_row, first_row + len(planned.misses))
        for column, asked in planned.asked.items():
            self._asked[column] += [first + index for index in asked] if first else asked

    def submission(self, waiter: Waiter, request: Request) -> Submission:
        """All of it, for a waiter."""
        missed = Parcel(
            waiter=waiter,
            column=-1,
            mandate=request.mandate,
            priority=request.priority,
            keys=self._keys,
            subjects=self._subjects,
            rows=self._rows,
            # Here, and not where a reply is read: this is once for all institutions.
            names_may_differ=may_differ("\n".join([subject.name for subject in self._subjects])),
        )
        return Submission(missed=missed, asked=self._asked, max_age=request.max_age)
