"""The ring of the cache's keys: how it is written, what is refused, and how it may change while workers run."""

import pytest

from broker.runtime.key_ring import KeyRing, KeyRingError, NamedKey, check_change, new_ring
from broker.store.cipher import derive

INDEX, ONE, TWO, THREE = (byte * 32 for byte in (b"\x0a", b"\x0b", b"\x0c", b"\x0d"))
RING = KeyRing.parse(f"index {INDEX.hex()}\none {ONE.hex()}\ntwo {TWO.hex()}\n")


def test_the_first_seals_and_all_open() -> None:
    assert RING.secrets == (ONE, TWO)
    assert RING.names == ["one", "two"]
    assert RING.index == INDEX


def test_a_key_alone_is_a_ring_from_which_the_key_of_subjects_follows() -> None:
    ring = KeyRing.parse(f"{ONE.hex()}\n")
    assert ring.secrets == (ONE,)
    assert ring.index == derive(ONE, b"index")
    grown = KeyRing.parse(ring.with_added(NamedKey("two", TWO)).with_sealing("two").without("1").text())
    assert grown.secrets == (TWO,)
    assert grown.index == ring.index, "replacing keys does not make the cache cold"


def test_it_is_read_as_it_was_written() -> None:
    assert KeyRing.parse(RING.text()) == RING
    assert KeyRing.parse(f"\n# of the cache\n  {RING.text()}\n\n") == RING


def test_nothing_of_a_key_is_shown() -> None:
    assert "one" in repr(RING)
    assert ONE.hex() not in repr(RING)
    assert repr(ONE) not in repr(RING)
    assert repr(INDEX) not in repr(RING)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no key"),
        (f"index {INDEX.hex()}", "holds no key"),
        (f"one {ONE.hex()}\ntwo {TWO.hex()}", "need a line `index`"),
        (f"index {INDEX.hex()}\none {ONE.hex()}\none {TWO.hex()}", "comes twice"),
        (f"index {INDEX.hex()}\none {ONE.hex()}\ntwo {ONE.hex()}", "comes twice"),
        (f"index {INDEX.hex()}\nindex {TWO.hex()}\none {ONE.hex()}", "comes twice"),
        (f"one {ONE.hex()}00", "line 1 does not consist of a name and 64 hexadecimal digits"),
        (f"one\n{ONE.hex()} two", "line 1"),
        (f"one! {ONE.hex()}", "other characters"),
        (f"{'n' * 33} {ONE.hex()}", "too long"),
        (
            "\n".join([f"index {INDEX.hex()}", *(f"{n} {bytes([n] * 32).hex()}" for n in range(9))]),
            "holds 9 keys, at most 8",
        ),
    ],
)
def test_what_is_no_ring_is_refused_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(KeyRingError, match=reason) as refusal:
        KeyRing.parse(text)
    assert not any(key.hex() in str(refusal.value) for key in (ONE, TWO, INDEX))


def test_a_ring_changes_a_step_at_a_time() -> None:
    grown = RING.with_added(NamedKey("three", THREE))
    assert grown.names == ["one", "two", "three"]
    assert grown.with_sealing("three").names == ["three", "one", "two"]
    assert grown.without("two").names == ["one", "three"]
    with pytest.raises(KeyRingError, match="one seals"):
        grown.without("one")
    for change in (grown.without, grown.with_sealing):
        with pytest.raises(KeyRingError, match="there is no key four; there are one, two, three"):
            change("four")
    for name in ("one", "no name"):
        with pytest.raises(KeyRingError):
            RING.with_added(NamedKey(name, THREE))


def test_a_new_ring_is_another_each_time() -> None:
    assert len({new_ring("name").secrets for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("new", "faults"),
    [
        (RING, []),
        (RING.with_added(NamedKey("three", THREE)), []),
        (RING.with_sealing("two"), []),
        (RING.without("two"), []),
        (RING.with_sealing("two").without("one"), ["one still seals"]),
        (RING.with_added(NamedKey("three", THREE)).with_sealing("three"), ["three is new"]),
        (KeyRing((NamedKey("three", THREE),), INDEX), ["three is new", "one still seals"]),
        (KeyRing(RING.keys, THREE), ["another key of subjects"]),
    ],
)
def test_workers_are_replaced_only_if_those_that_run_can_read_what_the_new_ones_write(
    new: KeyRing, faults: list[str]
) -> None:
    found = list(check_change(RING, new))
    assert len(found) == len(faults)
    assert all(fault in text for fault, text in zip(faults, found, strict=True))
