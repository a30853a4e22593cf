"""What was put and is not committed yet: the memtables of a store, from the one being filled to the one being written.

    put                → pending
    it is rotated      → it joins the end of those waiting, a new one is pending
    a round begins     → the oldest of those waiting becomes committing, and absorbs what the others hold about its
                         subjects
    it ends            → committing is released, or goes back to the front of those waiting

A memtable is rotated when a round begins, and earlier if it has as many subjects as a round may write. What was rotated
for a round waits for the next one: so the answers of a subject's institutions, which come within moments of each other,
come together in one write.

Not thread-safe: the caller holds a lock.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from broker.store.base import Statements
from broker.store.memtable import FrozenMemtable, Memtable

ROUND_LIMIT = 50_000  # subjects written in one round: some 0.4 s, for which others wait for the lock


class Memtables:
    """State: the memtables, how many answers are in them, and how many memtables were rotated and settled so far."""

    def __init__(self) -> None:
        self._pending = Memtable()
        self._waiting: deque[FrozenMemtable] = deque()
        self.committing: FrozenMemtable | None = None
        self.answers = 0
        self.rotated = self.settled = 0

    def all(self) -> list[FrozenMemtable]:
        """All of them, the oldest first."""
        oldest = [self.committing] if self.committing else []
        return [*oldest, *self._waiting, self._pending.view]

    @property
    def subjects(self) -> int:
        """How many subjects the answers are about; one in two memtables counts twice."""
        return sum(len(memtable.subjects) for memtable in self.all())

    @property
    def backlog(self) -> int:
        """How many memtables wait to be written."""
        return len(self._waiting)

    def put(self, statements: Statements, now: int) -> None:
        """Adds answers. `now` in seconds since the epoch."""
        for part in _parts(statements):
            if self._would_be_too_many(part.keys):
                self.rotate()
            self._pending.put(part, now)
        self.answers += len(statements.keys)

    def _would_be_too_many(self, keys: Sequence[bytes]) -> bool:
        subjects = self._pending.view.subjects
        if len(subjects) + len(keys) <= ROUND_LIMIT:
            return False
        return len(subjects) + sum(key not in subjects for key in keys) > ROUND_LIMIT

    def rotate(self) -> None:
        """Begins a new memtable, if anything is in the one there is."""
        if self._pending.view.subjects:
            self._waiting.append(self._pending.view)
            self._pending = Memtable()
            self.rotated += 1

    def begin(self, *, hurry: bool) -> list[FrozenMemtable]:
        """Begins a round. `hurry`: what was put last need not wait for the next one. Returns what goes on waiting."""
        ready = len(self._waiting)
        if ready <= 1:
            self.rotate()
        if self._waiting and (ready or hurry):
            self.committing = self._waiting.popleft()
        return list(self._waiting)

    def absorb(self, committing: FrozenMemtable, rests: Sequence[FrozenMemtable]) -> None:
        """Takes note that what is being committed has absorbed answers, of which `rests` were left waiting.

        More may have been rotated meanwhile.
        """
        for _ in rests:
            self._waiting.popleft()
        self._waiting.extendleft(reversed(rests))
        self.committing = committing

    def settle(self) -> None:
        """Ends a round: what was being committed is committed, or given up."""
        if self.committing:
            self.settled += 1
            self.committing = None
            while self._waiting and not self._waiting[0].subjects:  # all of it was absorbed
                self._waiting.popleft()
                self.settled += 1
            self.answers = sum(memtable.size for memtable in self.all())

    def put_back(self) -> None:
        """Ends a round in which nothing could be committed."""
        if self.committing:
            self._waiting.appendleft(self.committing)
            self.committing = None


def _parts(statements: Statements) -> Iterator[Statements]:
    if len(statements.keys) <= ROUND_LIMIT:
        yield statements
        return
    for start in range(0, len(statements.keys), ROUND_LIMIT):
        yield statements.pick(range(start, min(start + ROUND_LIMIT, len(statements.keys))))
