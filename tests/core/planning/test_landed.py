"""What landed between plan and submission: found by reading each held record once, whatever is asked of whom."""

from collections.abc import Sequence

import pytest

from broker.core.planning import landed as module
from broker.core.planning.freshness import Freshness
from broker.core.planning.landed import add_landed, split_landed
from broker.core.wire import encoding, record
from broker.core.wire.record import Entry, institution_key, pack
from broker.model import Outcome, Source
from tests.fakes import Recorder, key, parcel

NOW = 1_000


def entry(institution: str, *, observed: int = NOW - 10, expires: int = NOW + 10) -> Entry:
    content = encoding.content(Outcome.NOT_FOUND, observed_at=observed)
    (segment,) = encoding.make_segments(institution, [content], Source.CACHE)
    return Entry(institution_key(institution), Outcome.NOT_FOUND, observed, expires, segment)


Found = dict[bytes, dict[bytes, Entry]]


def landed_of(keys: Sequence[bytes], records: Sequence[bytes | None], *, oldest: int) -> Found:
    found: Found = {}
    for part in (slice(0, 2), slice(2, None)):  # in whatever parts they are read
        add_landed(found, keys[part], records[part], Freshness(NOW, oldest))
    return found


def test_answers_are_found_by_institution_and_subject() -> None:
    records = [pack([entry("a"), entry("b")]), None, pack([entry("b")])]
    found = landed_of([key(1), key(2), key(3)], records, oldest=0)
    assert {institution: set(answers) for institution, answers in found.items()} == {
        institution_key("a"): {key(1)},
        institution_key("b"): {key(1), key(3)},
    }


@pytest.mark.parametrize(
    ("observed", "expires", "oldest", "served"),
    [
        (NOW - 10, NOW + 1, 0, True),
        (NOW - 10, NOW, 0, False),
        (NOW - 10, NOW + 1, NOW - 10, True),
        (NOW - 10, NOW + 1, NOW - 9, False),
        (NOW, NOW + 1, 0, True),
        (NOW + 1, NOW + 10, 0, False),
    ],
)
def test_only_what_may_be_served_has_landed(observed: int, expires: int, oldest: int, served: bool) -> None:
    held = pack([entry("a", observed=observed, expires=expires)])
    assert bool(landed_of([key(1)], [held], oldest=oldest)) == served


@pytest.mark.parametrize("institutions", [4, 40, 400])
def test_each_record_is_unpacked_once_however_many_are_asked(
    institutions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was once for each institution asked: 400 institutions stood the loop still for seconds."""
    unpacked: list[bytes] = []

    def unpack(held: bytes) -> list[Entry]:
        unpacked.append(held)
        return record.unpack(held)

    monkeypatch.setattr(module, "unpack", unpack)
    held = pack([entry(f"institution-{number:03}") for number in range(institutions)])
    found = landed_of([key(number) for number in range(20)], [held] * 20, oldest=0)
    assert len(unpacked) == 20
    assert len(found) == institutions


def test_a_parcel_is_split_into_what_landed_and_what_is_missing() -> None:
    one = parcel(Recorder(), [1, 2, 3])
    assert split_landed(one, {key(2): entry("a"), key(9): entry("a")}) == ([1], [0, 2])
