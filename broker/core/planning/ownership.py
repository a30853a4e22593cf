"""Which of a host's workers asks about a subject: its owner. One owner, so no two workers ask the same question."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ownership:
    """This worker's place among the host's workers."""

    slot: int = 0
    workers: int = 1

    def owner(self, key: bytes) -> int:
        """The slot of the worker that owns the subject with this key. Keys are hashes: each owns an equal part."""
        return int.from_bytes(key[-2:], "big") % self.workers

    def share(self, total: int) -> int:
        """This worker's part of what an institution allows the host: the parts of all workers add up to it."""
        return total // self.workers + (self.slot < total % self.workers)


ALONE = Ownership()
"""A worker with no others: it owns everything."""
