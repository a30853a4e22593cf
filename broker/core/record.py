"""What the cache keeps of one subject: every institution's answer, in one value, so that one read serves one lookup.

Layout, little-endian:

    fingerprint  8 bytes   of the set of institutions within, in order of their ids
    expires      u32       when the first of the answers expires, seconds since the epoch
    observed     u32       when the oldest of the answers was observed
    last         u32       when the last of the answers expires
    count        u16
    outcomes     count x 1 byte
    entries      count x (institution 8 bytes, observed u32, expires u32, length u32)
    segments     the answers, encoded (core.wire), one after the other

When the fingerprint is that of the institutions asked about, everything from `body_at` on is the report's body as it
stands: nothing per answer is done. Otherwise the entries say where each answer lies.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, chain
from struct import Struct
from typing import NamedTuple

import numpy as np

from broker.core import wire

HEAD = Struct("<8sIIIH")
_ENTRY = Struct("<8sIII")


class Entry(NamedTuple):
    """One institution's answer about one subject."""

    institution: bytes
    """`institution_key` of its id."""
    outcome: int
    observed: int
    expires: int
    segment: bytes


def institution_key(institution_id: str) -> bytes:
    """The eight bytes that stand for an institution in a record. A collision among 4,000 has probability 4e-13."""
    return blake2b(institution_id.encode(), digest_size=8).digest()


def fingerprint(institution_keys: Iterable[bytes]) -> bytes:
    """The eight bytes that stand for a set of institutions, given in order of their ids."""
    return blake2b(b"".join(institution_keys), digest_size=8, person=b"institution set").digest()


def body_at(count: int) -> int:
    """Where the segments begin in a record of `count` answers."""
    return HEAD.size + count * (1 + _ENTRY.size)


@lru_cache(maxsize=256)
def heads_of(count: int) -> np.dtype[np.void]:
    """The head and the outcomes of records of `count` answers, for a look at many at once."""
    return np.dtype(
        [
            ("fingerprint", "V8"),
            ("expires", "<u4"),
            ("observed", "<u4"),
            ("last", "<u4"),
            ("count", "<u2"),
            ("outcomes", "u1", (count,)),
        ]
    )


def pack(entries: Iterable[Entry]) -> bytes:
    """The record of these answers, at most one per institution."""
    ordered = sorted(entries, key=lambda entry: wire.institution_of(entry.segment))
    institutions, outcomes, observed, expires, segments = zip(*ordered, strict=True)
    return assemble(institutions, list(zip(outcomes, observed, expires, segments, strict=True)))


Fields = tuple[int, int, int, bytes]
"""An `Entry` without its institution: outcome, observed, expires, segment."""


def assemble(institutions: tuple[bytes, ...], answers: Sequence[Fields]) -> bytes:
    """The record of these answers, aligned with their institutions, which come in order of their ids."""
    outcomes, observed, expires, segments = zip(*answers, strict=True)
    count = len(institutions)
    rows = zip(institutions, observed, expires, map(len, segments), strict=True)
    return b"".join(
        (
            HEAD.pack(_fingerprint_of(institutions), min(expires), min(observed), max(expires), count),
            bytes(outcomes),
            _entries(count).pack(*chain.from_iterable(rows)),
            *segments,
        )
    )


# Nearly all records of a day hold the answers of the same few sets of institutions.
@lru_cache(maxsize=4096)
def _fingerprint_of(institutions: tuple[bytes, ...]) -> bytes:
    return fingerprint(institutions)


@lru_cache(maxsize=256)
def _entries(count: int) -> Struct:
    return Struct("<" + _ENTRY.format.removeprefix("<") * count)


def unpack(record: bytes) -> list[Entry]:
    """The answers in a record."""
    count = HEAD.unpack_from(record)[4]
    outcomes = record[HEAD.size : HEAD.size + count]
    rows = list(_ENTRY.iter_unpack(record[HEAD.size + count : body_at(count)]))
    ends = list(accumulate((row[3] for row in rows), initial=body_at(count)))
    return [
        Entry(institution, outcome, observed, expires, record[start:end])
        for (institution, observed, expires, _), outcome, start, end in zip(
            rows, outcomes, ends[:-1], ends[1:], strict=True
        )
    ]


LAST = slice(16, 20)
"""Where a record says when the last of its answers expires: the store keeps it beside what it seals."""


def last_expiry(record: bytes) -> int:
    """When nothing in the record may be served any more, seconds since the epoch."""
    return int(HEAD.unpack_from(record)[3])


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
