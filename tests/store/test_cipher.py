"""Sealing: what goes in comes out, under its own key alone, and no nonce comes twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.store import cipher as cipher_module
from broker.store.cipher import Cipher, derive

KEY = bytes(range(32))
ALICE, BOB = b"a" * 16, b"b" * 16
RECORD = b"what is known of her"


@given(key=st.binary(min_size=16, max_size=16), record=st.binary(max_size=500))
def test_what_was_sealed_is_opened(key: bytes, record: bytes) -> None:
    cipher = Cipher(KEY)
    assert cipher.open(key, cipher.seal(key, record)) == record


def test_a_later_opening_of_the_file_reads_what_an_earlier_one_wrote() -> None:
    assert Cipher(KEY).open(ALICE, Cipher(KEY).seal(ALICE, RECORD)) == RECORD


def test_another_subjects_key_opens_nothing() -> None:
    cipher = Cipher(KEY)
    assert cipher.open(BOB, cipher.seal(ALICE, RECORD)) is None


def test_another_files_key_opens_nothing() -> None:
    assert Cipher(derive(KEY, b"records", b"other")).open(ALICE, Cipher(KEY).seal(ALICE, RECORD)) is None


@given(bit=st.integers(0, 8 * (12 + len(RECORD) + 16) - 1))
def test_a_single_wrong_bit_opens_nothing(bit: int) -> None:
    cipher = Cipher(KEY)
    sealed = bytearray(cipher.seal(ALICE, RECORD))
    sealed[bit // 8] ^= 1 << bit % 8
    assert cipher.open(ALICE, bytes(sealed)) is None


@given(noise=st.binary(max_size=80))
def test_noise_opens_to_nothing_and_raises_nothing(noise: bytes) -> None:
    assert Cipher(KEY).open(ALICE, noise) is None


@pytest.mark.parametrize("length", range(12 + 16))
def test_what_is_too_short_opens_to_nothing(length: int) -> None:
    cipher = Cipher(KEY)
    assert cipher.open(ALICE, cipher.seal(ALICE, b"")[:length]) is None


def test_one_damaged_record_does_not_take_the_others_with_it() -> None:
    cipher = Cipher(KEY)
    whole, damaged = cipher.seal(ALICE, RECORD), cipher.seal(BOB, RECORD)[:-1] + b"\0"
    opened = cipher.open_many([(ALICE, b"1234" + whole + b"5", 4, 4 + len(whole)), (BOB, damaged, 0, None)])
    assert opened == [RECORD, None]


def test_nothing_sealed_tells_what_it_holds() -> None:
    assert RECORD not in Cipher(KEY).seal(ALICE, RECORD)


def test_equal_records_are_sealed_differently_and_no_nonce_comes_twice() -> None:
    """Ciphers of one key, as several openings of one file have: before a snapshot, and after it was restored."""
    nonces = set()
    for _ in range(3):
        cipher = Cipher(KEY)
        nonces |= {cipher.seal(ALICE, RECORD)[:12] for _ in range(1_000)}
    assert len(nonces) == 3_000


def test_a_counter_that_has_run_out_gets_another_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher_module, "_COUNTER", 8)
    cipher, nonces = Cipher(KEY), set()
    for count in (100, 100, 100, 256, 1, 255, 1):
        sealed = cipher.seal_many([ALICE] * count, [RECORD] * count)
        assert cipher.open_many([(ALICE, each, 0, None) for each in sealed]) == [RECORD] * count
        nonces |= {each[:12] for each in sealed}
    assert len(nonces) == 813


def test_keys_for_different_purposes_files_and_masters_differ() -> None:
    keys = {
        derive(master, purpose, salt)
        for master in (bytes(32), KEY)
        for purpose in (b"index", b"records")
        for salt in (b"", b"one", b"two")
    }
    assert len(keys) == 12
    assert {len(key) for key in keys} == {32}
    assert derive(KEY, b"records", b"one") == derive(KEY, b"records", b"one")
