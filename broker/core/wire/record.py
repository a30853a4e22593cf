"""The cache's record of one subject: the answers of all institutions in one value, so that one read serves one lookup.

Layout, little-endian:

    fingerprint  8 bytes   of the set of institutions whose answers it holds
    expires      u32       when the first of the answers expires, seconds since the epoch
    observed     u32       when the oldest of the answers was observed, seconds since the epoch
    count        u16       the number of answers
    outcomes     count x 1 byte
    each         count x (observed u32, expires u32)
    segments     the encoded answers (`encoding`), concatenated

The answers are ordered by institution id. If the fingerprint equals that of the institutions asked about, everything
from `body_at` on is the body of the report, and no work is done per answer. Otherwise the segments are read one by one:
each of them begins with its length and its institution.
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
    """The `institution_key` of its id."""
    outcome: int
    observed: int
    expires: int
    segment: bytes


class Answers(NamedTuple):
    """Answers of the same m institutions about n subjects."""

    institutions: Sequence[bytes]
    """The `institution_key` of each, ordered by id."""
    outcomes: NDArray[np.uint8]
    """Shape (n, m), like `observed` and `expires`."""
    observed: NDArray[np.int64]
    expires: NDArray[np.int64]
    segments: Sequence[Sequence[bytes]]
    """m columns of n segments. Their source does not matter."""


def institution_key(institution_id: str) -> bytes:
    """The hash of an institution id, 8 bytes. Any two of 4,000 institutions collide with probability 4e-13."""
    return _institution_key(institution_id.encode())


# There are at most a few thousand institutions, and most requests ask the same ones.
@lru_cache(maxsize=8192)
def _institution_key(institution_id: bytes) -> bytes:
    return blake2b(institution_id, digest_size=8).digest()


def fingerprint(institution_keys: Iterable[bytes]) -> bytes:
    """The hash of a set of institutions, 8 bytes. The keys are ordered by institution id."""
    return blake2b(b"".join(institution_keys), digest_size=8, person=b"institution set").digest()


def body_at(count: int) -> int:
    """The offset of the segments in a record of `count` answers."""
    return HEAD.size + count * (1 + _EACH.size)


@lru_cache(maxsize=256)
def heads_of(count: int) -> np.dtype[np.void]:
    """The numpy type of what precedes the segments in a record of `count` answers, to process many records at once."""
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
    """The records of many subjects, with only a few Python steps for each.

    The source of every answer is set to `source`.
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
    """Joins the head and the segments of each subject. The records are slices of one buffer."""
    size, raw = heads.itemsize, heads.tobytes()
    fronts = [raw[at : at + size] for at in range(0, len(raw), size)]
    pieces = list(chain.from_iterable(zip(fronts, *segments, strict=True)))
    joined = bytearray().join(pieces)
    ends = np.fromiter(map(len, pieces), np.int64, len(pieces)).cumsum().reshape(len(fronts), -1)
    np.frombuffer(joined, np.uint8)[ends[:, 1:] - 1] = source  # the last byte of a segment (`encoding`)
    view = memoryview(joined)
    return [view[start:end] for start, end in pairwise([0, *ends[:, -1].tolist()])]


# Nearly all records hold the answers of the same few sets of institutions.
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
    """Splits the bytes from `start` on into segments. Each consists of a tag, a length, and as many bytes."""
    while start < len(record):
        at, size, shift = start + 1, 0, 0
        while record[at] & 0x80:
            size |= (record[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
        end = at + 1 + (size | record[at] << shift)
        yield record[start:end]
        start = end


def _times(record: bytes, count: int) -> Iterator[tuple[int, int]]:
    """Yields `observed` and `expires` of each answer."""
    return _EACH.iter_unpack(record[HEAD.size + count : body_at(count)])


def last_expiry(record: bytes) -> int:
    """When the last answer in the record expires, seconds since the epoch."""
    return max(expires for _, expires in _times(record, HEAD.unpack_from(record)[-1]))


def supersedes(observed: int, held: int, now: int) -> bool:
    """Whether an answer observed at one time replaces one that is held, observed at the other."""
    return not observed < held <= now


def merge(record: bytes | None, entries: Sequence[Entry], now: int) -> bytes:
    """Adds answers to a record: of one institution's the newest counts, and expired ones that were held go.

    An answer that is held and was observed after now is replaced, too: it is from before the clock was set back.
    """
    held_before = [] if record is None else unpack(record)
    merged = {entry.institution: entry for entry in held_before if entry.expires > now}
    for entry in entries:
        held = merged.get(entry.institution)
        if held is None or supersedes(entry.observed, held.observed, now):
            merged[entry.institution] = entry
    return pack(merged.values())
