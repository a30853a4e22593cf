"""What the broker reads of X.509 certificates."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

_MALFORMED = (
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
    TypeError,  # of a name
)
"""What `cryptography` raises of a malformed certificate, besides `ValueError`."""


@contextmanager
def malformed_as_value_error() -> Iterator[None]:
    """Whatever `cryptography` raises of a certificate or revocation list that it cannot read, as `ValueError`."""
    try:
        yield
    except _MALFORMED as error:
        msg = f"malformed ({type(error).__name__})"
        raise ValueError(msg) from None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What counts of a certificate. Moments in seconds since 1970."""

    fingerprint: str
    """SHA-256 of its DER, in hexadecimal."""
    not_before: float
    not_after: float
    issuer: bytes
    """The issuer's name in DER."""
    serial: int
    is_self_issued: bool
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """A certificate on which connections depend, for metrics. It shows no name, since that may be a person's."""

    role: str
    """server, client_ca, institution_client or institution_ca."""
    file: str
    certificate: Certificate
    institution: str = ""
    """The id of the institution it is used with, if any."""


def read_certificate(parsed: x509.Certificate) -> Certificate:
    """Raises `ValueError` if it is malformed."""
    with malformed_as_value_error():
        names = _alternative_names(parsed)
        issuer, subject = parsed.issuer.public_bytes(), parsed.subject.public_bytes()
    return Certificate(
        fingerprint=parsed.fingerprint(hashes.SHA256()).hex(),
        not_before=parsed.not_valid_before_utc.timestamp(),
        not_after=parsed.not_valid_after_utc.timestamp(),
        issuer=issuer,
        serial=parsed.serial_number,
        is_self_issued=issuer == subject,
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
    )


def _alternative_names(parsed: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def read_chain(pem: bytes) -> Sequence[Certificate]:
    """Every certificate in PEM, in order. Raises `ValueError` if there is none, or one is malformed."""
    return [read_certificate(each) for each in load_certificates(pem)]


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Every certificate in PEM, in order. Raises `ValueError` if there is none, or one is malformed."""
    with malformed_as_value_error():
        return x509.load_pem_x509_certificates(pem)
