"""Certificates that have been revoked: by their authority, in CRLs (RFC 5280), or by the operator, in a list.

Rules

1. A certificate is refused if its fingerprint is in the list, or its serial number in the CRL of its issuer. The same
   goes for the certificates between it and the authority, and for all that an authority in `tls.client_ca` has issued
   which is revoked itself: callers need not send the certificates that the broker has.
2. Once a CRL is given, every issuer needs one that is not past its next update. If an issuer has none, it is not known
   whether its certificates are revoked, and they are refused, unless the operator accepts that. To refuse is what
   OpenSSL, nginx and HAProxy do: otherwise whoever holds a stolen certificate would only have to prevent that the
   broker's CRL is renewed. Metrics tell when a CRL ends, so that nobody is surprised.
3. A CRL counts only if one of the authorities has signed it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography import x509

from broker.access.registry import plain_fingerprint
from broker.certificate import Certificate, malformed_as_value_error, read_certificate
from broker.errors import ConfigError

_FINGERPRINT = re.compile("[0-9a-f]{64}")
_PEM = re.compile(b"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Revocations:
    """What is revoked, as far as is known."""

    fingerprints: frozenset[str] = frozenset()
    serials: frozenset[tuple[bytes, int]] = frozenset()
    """By name of the issuer in DER."""
    next_updates: Mapping[bytes, float] = field(default_factory=dict)
    """Until when the CRL of an issuer is valid, in seconds since 1970. Empty: no CRLs are used."""
    accept_unknown: bool = False
    next_update_by_file: Mapping[str, float] = field(default_factory=dict)
    """The earliest in each file."""
    issuers: frozenset[bytes] = frozenset()
    """Names, in DER, of authorities that are revoked themselves."""

    def reason(self, certificate: Certificate, now: float) -> str | None:
        """Why a certificate is refused: REVOKED or REVOCATION_UNKNOWN. None if it is not."""
        if self.names(certificate) or certificate.issuer in self.issuers:
            return "REVOKED"
        if self.next_updates and not self.accept_unknown and not certificate.is_self_issued:
            return None if now < self.next_updates.get(certificate.issuer, 0.0) else "REVOCATION_UNKNOWN"
        return None

    def names(self, certificate: Certificate) -> bool:
        """Whether the list or a CRL names the certificate itself."""
        return certificate.fingerprint in self.fingerprints or (certificate.issuer, certificate.serial) in self.serials


def read_revocations(
    crls: Mapping[str, bytes], listed: str, authorities: Iterable[x509.Certificate], *, accept_unknown: bool = False
) -> Revocations:
    """What CRLs (PEM or DER, by file) and a list of fingerprints revoke.

    `listed`: one fingerprint a line; what follows # is a comment. Raises `ConfigError` with all faults.
    """
    faults: list[str] = []
    serials: set[tuple[bytes, int]] = set()
    next_updates: dict[bytes, float] = {}
    by_file: dict[str, float] = {}
    trusted = list(authorities)
    for file, content in crls.items():
        try:
            for crl in _parse(content):
                with malformed_as_value_error():
                    issuer, until = _check(crl, trusted)
                    serials.update([(issuer, each.serial_number) for each in crl])
                next_updates[issuer] = max(until, next_updates.get(issuer, 0.0))
                by_file[file] = min(until, by_file.get(file, until))
        except ValueError as error:
            faults.append(f"crl: {file}: {error}")
    fingerprints = _read_list(listed, faults)
    if faults:
        raise ConfigError(*faults)
    found = Revocations(fingerprints, frozenset(serials), next_updates, accept_unknown, by_file)
    issuers = [each.subject.public_bytes() for each in trusted if found.names(read_certificate(each))]
    return replace(found, issuers=frozenset(issuers))


def _parse(content: bytes) -> Sequence[x509.CertificateRevocationList]:
    try:
        with malformed_as_value_error():
            if b"-----BEGIN" in content:
                found = [x509.load_pem_x509_crl(each) for each in _PEM.findall(content)]
            else:
                found = [x509.load_der_x509_crl(content)]
    except ValueError:
        found = []
    if not found:
        msg = "is no certificate revocation list in PEM or DER"
        raise ValueError(msg)
    return found


def _check(crl: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]) -> tuple[bytes, float]:
    """The issuer's name and the next update. Raises `ValueError` if the CRL cannot be relied on."""
    shown = crl.issuer.rfc4514_string()
    if not any(each.subject == crl.issuer and _has_signed(each, crl) for each in authorities):
        msg = f"is not signed by an authority in tls.client_ca; its issuer is {shown}"
        raise ValueError(msg)
    if crl.next_update_utc is None:
        msg = f"the CRL of {shown} has no next update, so nobody can tell whether it is current (RFC 5280, 5.1.2.5)"
        raise ValueError(msg)
    unknown = [each.oid.dotted_string for each in crl.extensions if each.critical]
    if unknown:  # parts of a CRL: only some certificates, or only changes
        msg = f"the CRL of {shown} has critical extensions ({', '.join(unknown)}); only complete CRLs can be used"
        raise ValueError(msg)
    if crl.last_update_utc > datetime.now(UTC):
        msg = f"the CRL of {shown} is from the future"
        raise ValueError(msg)
    return crl.issuer.public_bytes(), crl.next_update_utc.timestamp()


def _has_signed(authority: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    key = authority.public_key()
    try:
        return crl.is_signature_valid(key)  # type: ignore[arg-type]  # other kinds of key raise TypeError
    except TypeError:
        return False


def _read_list(text: str, faults: list[str]) -> frozenset[str]:
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        fingerprint = plain_fingerprint(line.partition("#")[0])
        if not fingerprint:
            continue
        if _FINGERPRINT.fullmatch(fingerprint):
            found.add(fingerprint)
        else:
            faults.append(f"revoked: line {number} is no SHA-256 in hexadecimal, such as `broker certs show` prints")
    return frozenset(found)
