"""Signatures of requests: what counts, and every way in which one does not."""

from dataclasses import replace
from math import inf

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.access.court_set import parse_court_set
from broker.access.officer_set import parse_officer_set
from broker.access.policy_file import read_policy
from broker.access.signature import (
    WINDOW,
    CallMetadata,
    RegisteredKey,
    RequestSignature,
    missing_signature,
    verify,
)
from broker.access.signed_request import (
    INVESTIGATE_PATH,
    KEY_METADATA,
    SIGNATURE_METADATA,
    decoded_key,
    digest_of,
    encoded_key,
    joined,
    parted,
    statement,
)
from broker.core.subjects.mandate import read_mandate
from broker.errors import ConfigError, SignatureError

NOW = 1_767_225_600
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KEY = RegisteredKey(
    name="王法官 2026",
    public=PUBLIC,
    courts=parse_court_set(["京0101"]),
    officers=parse_officer_set(["王法官"]),
    valid_from=NOW - 1000,
    valid_until=NOW + 1000,
)
MANDATE = read_mandate("京0101", "王法官", "（2026）京0101执1号", "协助查询通知书1号")
BODY = b"a request"


def signed(
    body: bytes = BODY, *, signed_at: int = NOW, path: str = INVESTIGATE_PATH, key: Ed25519PrivateKey = PRIVATE
) -> list[tuple[str, str | bytes]]:
    public = key.public_key().public_bytes_raw()
    signature = key.sign(statement(path, public, signed_at, digest_of(body)))
    return [
        ("user-agent", "grpc"),
        (KEY_METADATA, encoded_key(public)),
        (SIGNATURE_METADATA, joined(signed_at, signature)),
    ]


def outcome(metadata: CallMetadata, key: RegisteredKey = KEY, *, body: bytes = BODY, now: float = NOW) -> str:
    try:
        found = verify(metadata, {key.public: key}, MANDATE, digest_of(body), now)
    except SignatureError as error:
        return error.reason
    return "none" if found is None else "good"


def test_a_good_signature_is_kept_for_the_record() -> None:
    metadata = signed()
    found = verify(metadata, {PUBLIC: KEY}, MANDATE, digest_of(BODY), NOW)
    assert found == RequestSignature(PUBLIC, dict(metadata)[SIGNATURE_METADATA])  # type: ignore[arg-type]
    signed_at, signature = parted(found.value)
    PRIVATE.public_key().verify(signature, statement(INVESTIGATE_PATH, found.key, signed_at, digest_of(BODY)))


def test_the_statement_is_text_that_anybody_can_write() -> None:
    assert statement(INVESTIGATE_PATH, bytes(32), 7, digest_of(b"")).decode() == (
        "property-investigation-broker request signature 1\n"
        "/broker.v1.InvestigationService/Investigate\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "7\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
    )


WITHOUT_KEY = [one for one in signed() if one[0] != KEY_METADATA]
WITHOUT_SIGNATURE = [one for one in signed() if one[0] != SIGNATURE_METADATA]
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([], "none"),
        ([("user-agent", "grpc")], "none"),
        (signed(), "good"),
        (signed(signed_at=NOW - WINDOW), "good"),
        (signed(signed_at=NOW + WINDOW), "good"),
        (WITHOUT_KEY, "INCOMPLETE"),
        (WITHOUT_SIGNATURE, "INCOMPLETE"),
        (signed() + signed(), "INCOMPLETE"),
        ([*signed(), signed()[1]], "INCOMPLETE"),
        ([*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, b"")], "MALFORMED"),
        ([*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, bytes(71))], "MALFORMED"),
        ([*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, bytes(73))], "MALFORMED"),
        ([*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, "text")], "INCOMPLETE"),
        ([*WITHOUT_KEY, (KEY_METADATA, "wang")], "MALFORMED"),
        ([*WITHOUT_KEY, (KEY_METADATA, encoded_key(PUBLIC)[:-1])], "MALFORMED"),
        (signed(key=OTHER), "UNKNOWN_KEY"),
        ([*WITHOUT_SIGNATURE, signed(key=OTHER)[2]], "BAD_SIGNATURE"),
        (signed(b"another request"), "BAD_SIGNATURE"),
        (signed(path="/broker.v1.InvestigationService/ListInstitutions"), "BAD_SIGNATURE"),
        ([*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, joined(NOW + 1, bytes(64)))], "BAD_SIGNATURE"),
        (
            [*WITHOUT_SIGNATURE, (SIGNATURE_METADATA, joined(NOW + 1, signed()[2][1][8:]))],  # type: ignore[arg-type]
            "BAD_SIGNATURE",
        ),
        (signed(signed_at=NOW - WINDOW - 1), "WRONG_TIME"),
        (signed(signed_at=NOW + WINDOW + 1), "WRONG_TIME"),
        (signed(signed_at=2**64 - 1), "WRONG_TIME"),
    ],
)
def test_what_counts(metadata: CallMetadata, reason: str) -> None:
    assert outcome(metadata) == reason
    assert outcome(iter(metadata)) == reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (replace(KEY, officers=None), "good"),
        (replace(KEY, courts=parse_court_set(["京*"])), "good"),
        (replace(KEY, valid_from=-inf, valid_until=inf), "good"),
        (replace(KEY, courts=parse_court_set(["京01"])), "WRONG_COURT"),
        (replace(KEY, officers=parse_officer_set(["李法官"])), "WRONG_OFFICER"),
        (replace(KEY, valid_until=NOW), "KEY_EXPIRED"),
        (replace(KEY, valid_from=NOW + 1), "KEY_EXPIRED"),
    ],
)
def test_a_key_signs_for_whom_it_is_registered_while_it_is_valid(key: RegisteredKey, reason: str) -> None:
    assert outcome(signed(), key) == reason


def test_the_same_bytes_count_until_the_window_is_over() -> None:
    replayed = signed()
    assert [outcome(replayed, now=NOW + later) for later in (0, WINDOW, WINDOW + 1)] == ["good", "good", "WRONG_TIME"]


@pytest.mark.parametrize(("signed_at", "said"), [(NOW - 400, "400 s ago"), (NOW + 400, "400 s ahead of the broker")])
def test_a_refusal_says_how_far_off_the_clock_is(signed_at: int, said: str) -> None:
    with pytest.raises(SignatureError, match=said):
        verify(signed(signed_at=signed_at), {PUBLIC: KEY}, MANDATE, digest_of(BODY), NOW)


def test_a_missing_signature_names_the_rule() -> None:
    assert missing_signature("signed").reason == "NO_SIGNATURE"
    assert "rule 'signed'" in str(missing_signature("signed"))


# --- keys in the policy -----------------------------------------------------------------------------------------------

RULE = '[[rule]]\nname = "one"\ncourts = ["*"]\n'
BLOCK = f'[[key]]\nname = "wang"\npublic_key = "{encoded_key(PUBLIC)}"\ncourts = ["京0101"]\n'


def test_keys_are_read() -> None:
    validity = "valid_from = 2026-01-01T08:00:00+08:00\nvalid_until = 2027-01-01T00:00:00Z"
    keys = read_policy(f'{RULE}{BLOCK}officers = ["王法官"]\n{validity}').keys
    assert keys == {
        PUBLIC: replace(KEY, name="wang", valid_from=float(NOW), valid_until=float(NOW + 365 * 86_400)),
    }
    assert read_policy(RULE).keys == {}
    (plain,) = read_policy(RULE + BLOCK).keys.values()
    assert (plain.officers, plain.valid_from, plain.valid_until) == (None, -inf, inf)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f'{RULE}signature = "required"', "key: a rule requires signatures, but there is no [[key]]"),
        (f"{RULE}{BLOCK}valid = true", "key 1 (wang).valid: is no key"),
        (f"{RULE}[[key]]\nname = 'a'\ncourts = ['*']", "key 1 (a).public_key: is missing"),
        (f"{RULE}[[key]]\nname = 'a'\ncourts = ['*']\npublic_key = 'abc'", "key 1 (a).public_key: must be an Ed25519"),
        (f"{RULE}{BLOCK.replace('京0101', '京1')}", "key 1 (wang).courts: '京1' must be a court's code"),
        (f"{RULE}{BLOCK}valid_until = 2026-01-01T00:00:00", "key 1 (wang).valid_until: must say its time zone"),
        (
            f"{RULE}{BLOCK}valid_until = 2026-01-01T00:00:00Z\nvalid_from = 2026-01-01T00:00:00Z",
            "key 1 (wang).valid_until: must be later than valid_from",
        ),
        (f"{RULE}{BLOCK}{BLOCK.replace('wang', 'li')}", "key.public_key: "),
        (
            f"{RULE}{BLOCK}{BLOCK.replace(encoded_key(PUBLIC), encoded_key(bytes(32)))}",
            "key.name: 'wang' is given twice",
        ),
    ],
)
def test_faults_of_keys(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy(text)
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]


def test_a_public_key_has_one_spelling() -> None:
    assert decoded_key(encoded_key(PUBLIC)) == PUBLIC
    for text in ("", "A" * 43, encoded_key(PUBLIC) + "\n", encoded_key(PUBLIC)[:-2] + "9="):
        with pytest.raises(ValueError, match="Base64"):
            decoded_key(text)
