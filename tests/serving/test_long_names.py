"""Names that normalisation makes many times as long are refused before they are normalised."""

import tracemalloc
from datetime import date

import pytest

from broker.core.subjects.key import Keyer
from broker.serving import lookups
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb

MANY = 1_000


@pytest.mark.parametrize("name", ["\ufdfa" * 400, "\u3316" * 400, "\u0344" * 400])
def test_a_name_that_would_grow_is_refused_at_its_own_length(name: str) -> None:
    """Normalised, a thousand of the first take 14 MB and half a second of the loop."""
    encoded = [
        pb.Lookup(
            ref=str(place),
            person=pb.Person(
                name=name, document_type=asset_pb2.DOCUMENT_TYPE_PASSPORT, document_number=f"E{place:08d}"
            ),
        ).SerializeToString()
        for place in range(MANY)
    ]
    tracemalloc.start()
    try:
        columns = lookups.read_lookups(encoded, Keyer(bytes(16)), today=date(2026, 11, 25))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {problem.reason for problem in columns.problems.values()} == {"BAD_LENGTH"}
    assert len(columns.problems) == MANY
    assert peak < 6 << 20
