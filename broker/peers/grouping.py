"""Which lookups go to which peer, and in which forward request.

All of a request's lookups about one subject must be in one forward request: its owner then makes the inquiry once and
answers each lookup with it, while two forward requests could each make it (with `max_age` 0 even one after the other).
Hardly any request has lookups about one subject in several chunks, so nearly everything can be forwarded as soon as its
chunk is planned; what cannot is held back until the last chunk is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from broker.core.planning.chunk import Chunk, joined

Group = tuple[int, Chunk]
"""An owner's slot, and lookups about its subjects."""


class OwnerGroups:
    """Groups lookups by the owner of their subjects. State: what is held back, by owner."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        """`chunks`: all of the request."""
        self._recurring = _recurring(chunks)
        self._held_back: dict[int, list[Chunk]] = {}

    def add(self, chunk: Chunk, by_owner: Mapping[int, Sequence[int]]) -> Iterator[Group]:
        """Takes in lookups of a chunk, given by owner as indices into it. Gives those that can be forwarded at once."""
        for owner, indices in by_owner.items():
            now, later = indices, []
            if self._recurring:
                keys = chunk.columns.keys
                now = [index for index in indices if keys[index] not in self._recurring]
                later = [index for index in indices if keys[index] in self._recurring]
            if later:
                self._held_back.setdefault(owner, []).append(chunk.pick(later))
            if now:
                yield owner, chunk.pick(now)

    def rest(self) -> Iterator[Group]:
        """What was held back; to be called once, when the last chunk was added."""
        for owner, chunks in self._held_back.items():
            yield owner, joined(chunks)


def _recurring(chunks: Sequence[Chunk]) -> frozenset[bytes]:
    """Keys of subjects that lookups of several chunks are about."""
    if len(chunks) < 2:
        return frozenset()
    seen: set[bytes] = set()
    recurring: set[bytes] = set()
    for keys in _key_sets(chunks):
        recurring |= seen & keys
        seen |= keys
    return frozenset(recurring)


def _key_sets(chunks: Iterable[Chunk]) -> Iterator[set[bytes]]:
    return (set(chunk.columns.keys) for chunk in chunks)
