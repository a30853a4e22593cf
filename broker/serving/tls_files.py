"""Reads the files of the [tls] section, and finds what gRPC would refuse later, or in every handshake, without a word.

No message contains what is in a key file.
"""

import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from broker.certificate import Certificate, CertificateInUse, load_certificates, read_certificate
from broker.errors import ConfigError
from broker.serving.revocation import Revocations, read_revocations
from broker.tls_section import TlsConfig


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What gRPC is given, in PEM, and the certificates in it."""

    key: bytes = field(repr=False)
    chain: bytes
    client_ca: bytes
    in_use: tuple[CertificateInUse, ...]


def read_material(config: TlsConfig, now: float) -> TlsMaterial:
    """The certificate, its key and the callers' authorities. Raises `ConfigError` with all faults."""
    faults: list[str] = []
    chain, chain_pem = _certificates("certificate", config.certificate, now, faults)
    authorities, client_ca = _certificates("client_ca", config.client_ca, now, faults)
    key = _read("key", config.key, faults)
    if key and (reason := _key_fault(config, key, chain[0] if chain else None)):
        faults.append(f"key: {config.key}: {reason}")
    faults += [
        f"client_ca: {config.client_ca}: {each.subject.rfc4514_string()} is no authority's certificate"
        for each in authorities
        if not _may_sign(each)
    ]
    if faults:
        raise ConfigError(*faults)
    in_use = [CertificateInUse("server", config.certificate, read_certificate(each)) for each in chain]
    in_use += [CertificateInUse("client_ca", config.client_ca, read_certificate(each)) for each in authorities]
    return TlsMaterial(key, chain_pem, client_ca, tuple(in_use))


def read_revoked_files(config: TlsConfig) -> Revocations:
    """What is revoked. Raises `ConfigError` with all faults."""
    faults: list[str] = []
    crls = {file: _read("crl", file, faults) for file in config.crl}
    listed = _read("revoked", config.revoked, faults) if config.revoked else b""
    authorities = _read("client_ca", config.client_ca, faults)
    if faults:
        raise ConfigError(*faults)
    try:
        trusted = load_certificates(authorities)
        return read_revocations(crls, listed.decode(), trusted, accept_unknown=config.unknown_revocation == "accept")
    except ValueError:
        msg = "revoked or client_ca: cannot be read; they must be UTF-8 and PEM"
        raise ConfigError(msg) from None


def revocation_files(config: TlsConfig) -> list[str]:
    """The files that `read_revoked_files` reads."""
    return [*config.crl, *filter(None, [config.revoked]), config.client_ca]


def _read(key: str, file: str, faults: list[str]) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        faults.append(f"{key}: {file}: cannot be read ({error.strerror})")
        return b""


def _certificates(key: str, file: str, now: float, faults: list[str]) -> tuple[list[x509.Certificate], bytes]:
    content = _read(key, file, faults)
    if not content:
        if Path(file).is_file():
            faults.append(f"{key}: {file}: is empty; it must hold certificates in PEM")
        return [], content
    try:
        found = load_certificates(content)
        read = [read_certificate(each) for each in found]
    except ValueError:
        faults.append(f"{key}: {file}: cannot be used as certificates in PEM")
        return [], content
    reason = _period_fault(key, read, now)
    if reason:
        faults.append(f"{key}: {file}: {reason}")
    return found, content


def _period_fault(key: str, certificates: list[Certificate], now: float) -> str | None:
    """Of the broker's own certificates all have to be valid; of authorities one, since they overlap when renewed."""
    valid = [each.not_before <= now < each.not_after for each in certificates]
    if all(valid) or (key == "client_ca" and any(valid)):
        return None
    wrong = certificates[valid.index(False)]
    return "is not valid yet; check the clock" if now < wrong.not_before else "has expired; renew it"


def _key_fault(config: TlsConfig, pem: bytes, certificate: x509.Certificate | None) -> str | None:
    if stat.S_IMODE(Path(config.key).stat().st_mode) & stat.S_IRWXO:
        return f"everybody on this host may use it; run: chmod 600 {config.key}"
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):  # TypeError: it has a passphrase
        return "cannot be used as a private key in PEM without a passphrase"
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return "gRPC can use only ECDSA and RSA keys; P-256 is the usual choice"
    if certificate is not None and key.public_key() != certificate.public_key():
        return f"does not belong to the certificate in {config.certificate}"
    return None


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:  # roots of version 1 have none
        return True
