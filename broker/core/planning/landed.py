"""What landed since a chunk was planned: answers of flights that ended between its planning and its submission.

    a chunk is planned                        the store does not hold the answer yet
    → another request's flight ends           its answer goes into the store, its key leaves the flight table
    → the chunk is submitted                  the flight table does not know the key any more

Without another look at the store, that inquiry would be made a second time. Each record is unpacked once, whatever the
number of institutions asked, so the work is linear in the answers held.
"""

from collections.abc import Mapping, Sequence

from broker.core.planning.freshness import Freshness
from broker.core.planning.parcel import Parcel
from broker.core.wire.record import Entry, unpack

Landed = Mapping[bytes, Entry]
"""Answers of one institution, by the subject's key."""


def add_landed(
    found: dict[bytes, dict[bytes, Entry]],
    keys: Sequence[bytes],
    records: Sequence[bytes | None],
    freshness: Freshness,
) -> None:
    """Adds the answers in these subjects' records that may be served, by `institution_key` and subject's key."""
    for key, record in zip(keys, records, strict=True):
        if record is not None:
            for entry in unpack(record):
                if freshness.accepts(entry.observed, entry.expires):
                    found.setdefault(entry.institution, {})[key] = entry


def split_landed(parcel: Parcel, landed: Landed) -> tuple[list[int], list[int]]:
    """Indices of a parcel's inquiries whose answers have landed, and of the others."""
    there: list[int] = []
    missing: list[int] = []
    for index, key in enumerate(parcel.keys):
        (there if key in landed else missing).append(index)
    return there, missing
