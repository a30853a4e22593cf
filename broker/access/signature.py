"""Verifies signatures of requests (`signed_request` has their format). Pure: the time is an argument.

A signature counts for `WINDOW` seconds before and after the moment that it names. Within this time, whoever has the
bytes of a signed request and a certificate that speaks for the court can send it once more. That asks the same about
the same subjects, in the same case: it is answered to the same court, charged to no quota anew, and recorded once more,
with the same signature and digest, by which the record shows it. Nothing in it can be changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from broker.access.court_set import CourtSet
from broker.access.officer_set import OfficerSet
from broker.access.signed_request import (
    INVESTIGATE_PATH,
    KEY_METADATA,
    SIGNATURE_METADATA,
    SIZE,
    decoded_key,
    parted,
    statement,
)
from broker.core.subjects.court import lineage
from broker.errors import SignatureError
from broker.model import Mandate

WINDOW = 300  # s; clocks that are further off than this are broken

CallMetadata = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredKey:
    """A key that the policy knows, and for whom it signs."""

    name: str
    public: bytes
    courts: CourtSet
    officers: OfficerSet | None = None
    """None: the key is the court's, and signs for all its officers."""
    valid_from: float = -inf
    """Seconds since the epoch; so is the next."""
    valid_until: float = inf


RegisteredKeys = Mapping[bytes, RegisteredKey]
"""The keys that there are, by public key."""


@dataclass(frozen=True, slots=True)
class RequestSignature:
    """A signature that was verified, as it is recorded."""

    key: bytes
    """The public key."""
    value: bytes
    """What `broker-signature-bin` carried: when it was signed, and the signature."""


def verify(
    metadata: CallMetadata, keys: RegisteredKeys, mandate: Mandate, digest: bytes, now: float
) -> RequestSignature | None:
    """The signature of a request; None if it has none.

    `digest`: SHA-256 of the request. `now`: seconds since the epoch. Takes a tenth of a millisecond. Raises
    `SignatureError` if there is one that does not count: a wrong signature is refused where none is required, too.
    """
    given = _read(metadata)
    if given is None:
        return None
    key = keys.get(given.key)
    if key is None:
        raise SignatureError("UNKNOWN_KEY", f"the policy has no key {KEY_METADATA}: have the broker's operator add it")
    signed_at, signature = parted(given.value)
    _check_use(key, mandate, signed_at, now)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(
            signature, statement(INVESTIGATE_PATH, key.public, signed_at, digest)
        )
    except InvalidSignature:
        raise SignatureError(
            "BAD_SIGNATURE",
            f"the signature with key {key.name!r} is not one of these bytes: sign the request exactly as it is sent",
        ) from None
    return given


def missing_signature(rule: str) -> SignatureError:
    """What to say when a rule requires a signature and there is none."""
    msg = f"rule {rule!r}: the request must be signed, in the metadata {KEY_METADATA} and {SIGNATURE_METADATA}"
    return SignatureError("NO_SIGNATURE", msg)


def _read(metadata: CallMetadata) -> RequestSignature | None:
    """What the metadata carry, checked for its form."""
    found: dict[str, list[str | bytes]] = {KEY_METADATA: [], SIGNATURE_METADATA: []}
    for name, value in metadata:
        if name in found:
            found[name].append(value)
    match found[KEY_METADATA], found[SIGNATURE_METADATA]:
        case [], []:
            return None
        case [str() as key], [bytes() as value]:
            return _parsed(key, value)
        case _:
            raise SignatureError(
                "INCOMPLETE", f"a signed request has the metadata {KEY_METADATA} and {SIGNATURE_METADATA}, once each"
            )


def _parsed(key: str, value: bytes) -> RequestSignature:
    if len(value) != SIZE:
        msg = f"{SIGNATURE_METADATA} must have {SIZE} bytes: the moment in seconds (8), and the signature (64)"
        raise SignatureError("MALFORMED", msg)
    try:
        return RequestSignature(decoded_key(key), value)
    except ValueError as error:
        raise SignatureError("MALFORMED", f"{KEY_METADATA}: {error}") from None


def _check_use(key: RegisteredKey, mandate: Mandate, signed_at: int, now: float) -> None:
    """Whether the key signs for this mandate, at this time."""
    if not key.courts.has(lineage(mandate.court)):
        msg = f"key {key.name!r} does not sign for court {mandate.court.code}"
        raise SignatureError("WRONG_COURT", msg)
    if key.officers is not None and not key.officers.has(mandate.officer):
        raise SignatureError("WRONG_OFFICER", f"key {key.name!r} does not sign for this officer (mandate.officer)")
    if not key.valid_from <= now < key.valid_until:
        raise SignatureError("KEY_EXPIRED", f"key {key.name!r} is not valid at present: have its successor registered")
    if abs(now - signed_at) > WINDOW:
        off = f"{abs(now - signed_at):.0f} s {'ago' if now > signed_at else 'ahead of the broker'}"
        msg = f"it was signed {off}, {WINDOW} s are allowed: sign anew, and correct the clock"
        raise SignatureError("WRONG_TIME", msg)
