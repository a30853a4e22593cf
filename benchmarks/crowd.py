"""Persons to ask about: some known to the cache, and as many more as are wanted that nobody has asked about."""

from random import Random

import numpy as np

from benchmarks.pool import Encoder, Request, head
from benchmarks.workload import PERSON
from broker.v1 import investigation_pb2 as pb


class Crowd:
    """State: how many persons there are, and how many of them have been asked about. Ordinals count from 0."""

    def __init__(self, seed: int, *, known: int) -> None:
        self.known = known
        self._encoder = Encoder(seed)
        self._rng = Random(seed)
        self._lookups: list[bytes] = []
        self._asked = known
        self.enlarge(known)

    @property
    def fresh(self) -> int:
        """How many are left that nobody has asked about."""
        return len(self._lookups) - self._asked

    def enlarge(self, fresh: int) -> None:
        """Makes so many more persons."""
        self._lookups += self._encoder.encode(np.full(fresh, PERSON, np.uint8), len(self._lookups))

    def lookup(self, ordinal: int) -> pb.Lookup:
        """How a person is asked about."""
        return pb.InvestigateRequest.FromString(self._lookups[ordinal]).lookups[0]

    def introduction(self, size: int) -> list[Request]:
        """Bulk requests about all who are to be known."""
        parts = [range(start, min(start + size, self.known)) for start in range(0, self.known, size)]
        return [self._request(list(part), is_bulk=True) for part in parts]

    def bulk(self, known: int, fresh: int) -> Request:
        """A bulk request about so many known persons and fresh ones. There must be enough of those."""
        return self._request(self._rng.choices(range(self.known), k=known) + self._take(fresh), is_bulk=True)

    def one_known(self) -> Request:
        """A one-lookup request about somebody known."""
        return self._request([self._rng.randrange(self.known)], is_bulk=False)

    def one_fresh(self) -> Request:
        """A one-lookup request about somebody nobody has asked about."""
        return self._request(self._take(1), is_bulk=False)

    def _take(self, fresh: int) -> list[int]:
        taken = range(self._asked, self._asked + fresh)
        self._asked += fresh
        return list(taken)

    def _request(self, ordinals: list[int], *, is_bulk: bool) -> Request:
        priority = pb.PRIORITY_BULK if is_bulk else pb.PRIORITY_INTERACTIVE
        body = b"".join([head(self._rng, priority), *(self._lookups[ordinal] for ordinal in ordinals)])
        return Request(body, ordinals, is_bulk)
