"""Persons to ask about: some whose answers are in the cache, and any number of others."""

from random import Random

import numpy as np

from benchmarks.lookup_encoder import EncodedRequest, LookupEncoder, request_head
from benchmarks.workload import PERSON
from broker.v1 import investigation_pb2 as pb


class Dataset:
    """Persons numbered from 0: the first `cached` ones are put into the cache, the others are asked about once at most.

    State: the encoded lookups, and the number of the next person nobody has asked about.
    """

    def __init__(self, seed: int, *, cached: int) -> None:
        self.cached = cached
        self._encoder = LookupEncoder(seed)
        self._rng = Random(seed)
        self._lookups: list[bytes] = []
        self._next = cached
        self.add(cached)

    @property
    def uncached(self) -> int:
        """How many persons are left that nobody has asked about."""
        return len(self._lookups) - self._next

    def add(self, persons: int) -> None:
        """Makes so many more persons."""
        self._lookups += self._encoder.encode(np.full(persons, PERSON, np.uint8), len(self._lookups))

    def lookup(self, person: int) -> pb.Lookup:
        """The lookup of a person."""
        return pb.InvestigateRequest.FromString(self._lookups[person]).lookups[0]

    def warm_up(self, size: int) -> list[EncodedRequest]:
        """Bulk requests of `size` lookups that put everybody into the cache who is to be there."""
        parts = [range(start, min(start + size, self.cached)) for start in range(0, self.cached, size)]
        return [self._request(list(part), is_bulk=True) for part in parts]

    def bulk(self, cached: int, uncached: int) -> EncodedRequest:
        """A bulk request about so many cached persons and so many others. There must be enough of the latter."""
        return self._request(self._rng.choices(range(self.cached), k=cached) + self._take(uncached), is_bulk=True)

    def single_cached(self) -> EncodedRequest:
        """A one-lookup request about a cached person."""
        return self._request([self._rng.randrange(self.cached)], is_bulk=False)

    def single_uncached(self) -> EncodedRequest:
        """A one-lookup request about a person nobody has asked about."""
        return self._request(self._take(1), is_bulk=False)

    def _take(self, persons: int) -> list[int]:
        taken = range(self._next, self._next + persons)
        self._next += persons
        return list(taken)

    def _request(self, persons: list[int], *, is_bulk: bool) -> EncodedRequest:
        priority = pb.PRIORITY_BULK if is_bulk else pb.PRIORITY_INTERACTIVE
        body = b"".join([request_head(self._rng, priority), *(self._lookups[person] for person in persons)])
        return EncodedRequest(body, persons, is_bulk)
