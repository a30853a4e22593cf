"""A certificate authority in memory: it issues certificates for servers and callers, and revokes them.

All keys are ECDSA P-256: gRPC's TLS refuses Ed25519 certificates on both sides, and handshakes with RSA cost ten times
as much of a server. Certificates begin a few minutes ago, because clocks differ, and end no later than their authority.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLOCK_SKEW = timedelta(minutes=5)
_LONGEST_NAME = 64  # characters of a common name (RFC 5280, appendix A)
_AUTHORITY_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both in PEM. The key is not shown."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Issued(...)"


class Authority:
    """State: its key and its certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        """See `create` and `load`."""
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, name: str, now: datetime, lifetime: timedelta = _AUTHORITY_LIFETIME) -> "Authority":
        """A new authority, which signs its own certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = _key_usage(key_cert_sign=True, crl_sign=True)
        builder = (
            _builder(subject, subject, key.public_key(), now - _CLOCK_SKEW, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def load(cls, issued: Issued) -> "Authority":
        """One that was created before. Raises `ValueError` if the files are no authority's."""
        key = serialization.load_pem_private_key(issued.key, None)
        certificate = x509.load_pem_x509_certificate(issued.certificate)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            msg = "the key does not belong to the certificate"
            raise ValueError(msg)
        return cls(key, certificate)

    @property
    def issued(self) -> Issued:
        """Its own certificate and key."""
        return _issued(self._certificate, self._key)

    @property
    def certificate(self) -> bytes:
        """Its own certificate in PEM."""
        return self.issued.certificate

    def issue_server(
        self, name: str, hosts: Iterable[str], now: datetime, lifetime: timedelta, *, uris: Iterable[str] = ()
    ) -> Issued:
        """A certificate of a server that is reached under these DNS names and IP addresses, and makes calls itself.

        `uris` name whom it speaks for as a caller.
        """
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [_host(host) for host in hosts] + [x509.UniformResourceIdentifier(uri) for uri in uris]
        return self._issue(name, names, usages, now, lifetime)

    def issue_client(self, name: str, uris: Iterable[str], now: datetime, lifetime: timedelta) -> Issued:
        """A certificate of a caller whom these URIs name."""
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        return self._issue(name, names, [ExtendedKeyUsageOID.CLIENT_AUTH], now, lifetime)

    def revocation_list(self, revoked: Mapping[int, datetime], now: datetime, lifetime: timedelta) -> bytes:
        """A CRL in PEM, of serial numbers with the moments at which they were revoked."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - _CLOCK_SKEW)
            .next_update(now + lifetime)
            .add_extension(_authority_key(self._key), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        )
        for serial, since in revoked.items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _issue(
        self,
        name: str,
        names: Sequence[x509.GeneralName],
        usages: Sequence[x509.ObjectIdentifier],
        now: datetime,
        lifetime: timedelta,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        begin, end = now - _CLOCK_SKEW, min(now + lifetime, self._certificate.not_valid_after_utc)
        builder = (
            _builder(_name(name), self._certificate.subject, key.public_key(), begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_authority_key(self._key), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _issued(builder.sign(self._key, hashes.SHA256()), key)


def read_revoked(crl: bytes) -> dict[int, datetime]:
    """The serial numbers in a CRL in PEM. Raises `ValueError` if it is none."""
    return {each.serial_number: each.revocation_date_utc for each in x509.load_pem_x509_crl(crl)}


def now_utc() -> datetime:
    """The present moment, in whole seconds, as certificates have them."""
    return datetime.now(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(begin, end - timedelta(seconds=1)))
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_NAME])])


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
