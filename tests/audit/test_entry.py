"""Entries: one canonical line of JSON each, with nothing in it that looks like a subject's number."""

import json

import pytest

from broker.audit.entry import (
    MAX_SIZE,
    WITHHELD,
    Admitted,
    AuditEntry,
    Deleted,
    Ended,
    MaterialDigest,
    Refused,
    Signature,
    Started,
    decode_entry,
    encode_entry,
    withhold,
)

NUMBER = "110101199003074514"

ENTRIES: list[AuditEntry] = [
    Started(version="1.0", cut_bytes=12, sealed_under="ab"),
    Admitted(
        method="Investigate",
        certificate="cd",
        speaks_for=("broker:court:京01",),
        court="京01",
        officer="王法官",
        case_number="（2026）京01执1号",
        legal_document="协助查询通知书1号",
        request_id="r-1",
        lookups=2,
        institutions=4,
        request_sha256="ef",
        signature=Signature.of(b"key", b"value"),
        material=MaterialDigest(sha256="01", size=3),
    ),
    Refused(method="Investigate", status="PERMISSION_DENIED", reason="no court", rule="courts"),
    Ended(admitted=1, reply_sha256="ab", reports=2, outcomes={"FOUND": 3}, sources={"CACHE": 3}, elapsed_ms=7),
    Deleted(before=100, days=3650),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_is_read_as_it_was_written(entry: AuditEntry) -> None:
    encoded = encode_entry(entry)
    assert decode_entry(encoded) == entry
    plain = json.loads(encoded)
    assert encoded == json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert b"\n" not in encoded


@pytest.mark.parametrize(
    "encoded",
    [
        b'{"before":1,"days":2,"time":0,"type":"deleted"}',  # a default is left out
        b'{"days":2,"before":1,"type":"deleted"}',
        b'{"before": 1,"days":2,"type":"deleted"}',
        b'{"type":"unknown"}',
        b"",
        b"\xff",
    ],
)
def test_what_is_not_canonical_is_no_entry(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="is no entry"):
        decode_entry(encoded)


def test_what_looks_like_a_number_is_sealed_instead() -> None:
    entry = Admitted(method="Investigate", officer="王法官", legal_document=f"查{NUMBER}", request_id=NUMBER)
    clear, sealed = withhold(entry)
    assert clear == Admitted(
        method="Investigate", officer="王法官", legal_document=WITHHELD, request_id=WITHHELD, withheld=True
    )
    assert sealed == {"legal_document": f"查{NUMBER}", "request_id": NUMBER}


def test_the_reason_of_a_refusal_is_a_free_text_too() -> None:
    clear, sealed = withhold(Refused(method="Investigate", status="INVALID_ARGUMENT", reason=NUMBER))
    assert isinstance(clear, Refused)
    assert clear.reason == WITHHELD
    assert sealed == {"reason": NUMBER}


def test_whatever_a_caller_sends_fits_into_an_entry() -> None:
    long = "\x01" * 5000  # six bytes each in JSON
    entry = Refused(
        method="Investigate",
        officer=long,
        case_number=long,
        legal_document=long,
        request_id=long,
        speaks_for=("京" * 255,) * 5000,
        status="INVALID_ARGUMENT",
        reason="x" * 400,
    )
    clear, sealed = withhold(entry)
    assert len(encode_entry(clear)) <= MAX_SIZE
    assert {len(text) for text in sealed.values()} == {400}


def test_what_is_harmless_is_not_copied() -> None:
    entry = ENTRIES[1]
    assert withhold(entry) == (entry, {})


def test_an_entry_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        encode_entry(Started(version="x" * MAX_SIZE))
