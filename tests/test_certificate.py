"""What the broker reads of certificates, and of bytes that only look like one."""

from base64 import encodebytes
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from broker.certificate import read_chain
from broker.certs.authority import Authority, now_utc

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW)
GATEWAY = AUTHORITY.issue_client("gateway", ["broker:court:%E4%BA%AC"], NOW, DAY).certificate


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def pem(content: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(content) + b"-----END CERTIFICATE-----\n"


def test_a_chain_is_read_in_order() -> None:
    own, authority = read_chain(GATEWAY + AUTHORITY.certificate)
    assert own.uris == ("broker:court:%E4%BA%AC",)
    assert own.issuer == authority.issuer
    assert (own.is_self_issued, authority.is_self_issued) == (False, True)
    assert own.not_after == (NOW + DAY).timestamp()


def test_an_extension_that_occurs_twice_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + DAY)
    for last in (1, 2):
        oid = x509.ObjectIdentifier(f"1.2.3.4.5.{last}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
    whole = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    twice = whole.replace(bytes([0x2A, 3, 4, 5, 2]), bytes([0x2A, 3, 4, 5, 1]))
    assert twice != whole
    with pytest.raises(ValueError, match="malformed"):
        read_chain(pem(twice))


@given(st.integers(0, len(der(GATEWAY)) - 1), st.integers(1, 255))
def test_a_damaged_certificate_is_read_or_refused(place: int, change: int) -> None:
    content = bytearray(der(GATEWAY))
    content[place] ^= change
    with suppress(ValueError):
        (certificate,) = read_chain(pem(bytes(content)))
        assert len(certificate.fingerprint) == 64


@pytest.mark.parametrize(
    "content",
    [b"", b"text", GATEWAY[:100], pem(b""), pem(b"\x30\x00")],
    ids=["nothing", "text", "a part of one", "an empty one", "one without content"],
)
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_chain(content)
