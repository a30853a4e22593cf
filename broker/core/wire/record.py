"""What the cache keeps of one subject: every institution's answer, in one value, so that one read serves one lookup.

Layout, little-endian:

    fingerprint  8 bytes   of the set of institutions within, in order of their ids
    expires      u32       when the first of the answers expires, seconds since the epoch
    observed     u32       when the oldest of the answers was observed
    count        u16
    outcomes     count x 1 byte
    each         count x (observed u32, expires u32)
    segments     the answers, encoded (core.wire), one after the other

When the fingerprint is that of the institutions asked about, everything from `body_at` on is the report's body as it
stands: nothing per answer is done. Otherwise the segments are walked, each of which says how long it is and whose.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from broker.core.wire import encoding

HEAD = Struct("<8sIIH")
_EACH = Struct("<II")


class Entry(NamedTuple):
    """One institution's answer about one subject."""

    institution: bytes
    """`institution_key` of its id."""
    outcome: int
    observed: int
    expires: int
    segment: bytes


class Answers(NamedTuple):
    """Answers about many subjects, by the same institutions: of n subjects by m institutions."""

    institutions: Sequence[bytes]
    """`institution_key` of each, in order of their ids."""
    outcomes: NDArray[np.uint8]
    """n x m, as are the next two."""
    observed: NDArray[np.int64]
    expires: NDArray[np.int64]
    segments: Sequence[Sequence[bytes]]
    """m columns of n, whatever source they name."""


def institution_key(institution_id: str) -> bytes:
    """The eight bytes that stand for an institution. A collision among 4,000 has probability 4e-13."""
    return _institution_key(institution_id.encode())


# A registry has some thousands of institutions at most, and the same ones come up all day.
@lru_cache(maxsize=8192)
def _institution_key(institution_id: bytes) -> bytes:
    return blake2b(institution_id, digest_size=8).digest()


def fingerprint(institution_keys: Iterable[bytes]) -> bytes:
    """The eight bytes that stand for a set of institutions, given in order of their ids."""
    return blake2b(b"".join(institution_keys), digest_size=8, person=b"institution set").digest()


def body_at(count: int) -> int:
    """Where the segments begin in a record of `count` answers."""
    return HEAD.size + count * (1 + _EACH.size)


@lru_cache(maxsize=256)
def heads_of(count: int) -> np.dtype[np.void]:
    """All that stands before the segments in records of `count` answers, for work on many at once."""
    each = np.dtype([("observed", "<u4"), ("expires", "<u4")])
    return np.dtype(
        [
            ("fingerprint", "V8"),
            ("expires", "<u4"),
            ("observed", "<u4"),
            ("count", "<u2"),
            ("outcomes", "u1", (count,)),
            ("each", each, (count,)),
        ]
    )


def pack(entries: Iterable[Entry]) -> bytes:
    """The record of these answers, at most one per institution."""
    ordered = sorted(entries, key=lambda entry: encoding.institution_of(entry.segment))
    institutions, outcomes, observed, expires, segments = zip(*ordered, strict=True)
    count = len(ordered)
    return b"".join(
        (
            HEAD.pack(_fingerprint_of(institutions), min(expires), min(observed), count),
            bytes(outcomes),
            _each(count).pack(*chain.from_iterable(zip(observed, expires, strict=True))),
            *segments,
        )
    )


def pack_many(answers: Answers, source: int) -> list[memoryview]:
    """The records of many subjects, at no more than a few steps of Python for each.

    Every answer is said to come from `source`.
    """
    subjects, institutions = answers.outcomes.shape
    heads = np.empty(subjects, heads_of(institutions))
    heads["fingerprint"] = np.void(_fingerprint_of(tuple(answers.institutions)))
    heads["expires"] = answers.expires.min(axis=1)
    heads["observed"] = answers.observed.min(axis=1)
    heads["count"] = institutions
    heads["outcomes"] = answers.outcomes
    heads["each"]["observed"] = answers.observed
    heads["each"]["expires"] = answers.expires
    return _join(heads, answers.segments, source)


def _join(heads: NDArray[Any], segments: Sequence[Sequence[bytes]], source: int) -> list[memoryview]:
    """Heads and segments, subject by subject; slices of one buffer."""
    size, raw = heads.itemsize, heads.tobytes()
    fronts = [raw[at : at + size] for at in range(0, len(raw), size)]
    pieces = list(chain.from_iterable(zip(fronts, *segments, strict=True)))
    joined = bytearray().join(pieces)
    ends = np.fromiter(map(len, pieces), np.int64, len(pieces)).cumsum().reshape(len(fronts), -1)
    np.frombuffer(joined, np.uint8)[ends[:, 1:] - 1] = source  # a segment's last byte (core.wire)
    view = memoryview(joined)
    return [view[start:end] for start, end in pairwise([0, *ends[:, -1].tolist()])]


# Nearly all records of a day hold the answers of the same few sets of institutions.
@lru_cache(maxsize=4096)
def _fingerprint_of(institutions: tuple[bytes, ...]) -> bytes:
    return fingerprint(institutions)


@lru_cache(maxsize=256)
def _each(count: int) -> Struct:
    return Struct("<" + _EACH.format.removeprefix("<") * count)


def unpack(record: bytes) -> list[Entry]:
    """The answers in a record."""
    count = HEAD.unpack_from(record)[-1]
    outcomes = record[HEAD.size : HEAD.size + count]
    return [
        Entry(_institution_key(encoding.institution_of(segment)), outcome, observed, expires, segment)
        for outcome, (observed, expires), segment in zip(
            outcomes, _times(record, count), _segments(record, body_at(count)), strict=True
        )
    ]


def _segments(record: bytes, start: int) -> Iterator[bytes]:
    """What stands from `start` on, cut where each segment ends: a tag, its length, and so many bytes."""
    while start < len(record):
        at, size, shift = start + 1, 0, 0
        while record[at] & 0x80:
            size |= (record[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
        end = at + 1 + (size | record[at] << shift)
        yield record[start:end]
        start = end


def _times(record: bytes, count: int) -> Iterator[tuple[int, int]]:
    """Of each answer: observed, expires."""
    return _EACH.iter_unpack(record[HEAD.size + count : body_at(count)])


def last_expiry(record: bytes) -> int:
    """When nothing in the record may be served any more, seconds since the epoch."""
    return max(expires for _, expires in _times(record, HEAD.unpack_from(record)[-1]))


def merge(record: bytes | None, entries: Sequence[Entry], now: int) -> bytes:
    """The record with these answers added, at most one per institution: newer in place of older, expired left out."""
    if record is None:
        return pack(entries)
    merged = {entry.institution: entry for entry in unpack(record) if entry.expires > now}
    for entry in entries:
        held = merged.get(entry.institution)
        if held is None or held.observed <= entry.observed:
            merged[entry.institution] = entry
    return pack(merged.values())
