"""TLS to an institution: who may vouch for it, and with which certificate the broker identifies itself.

TLS 1.3 is used with every institution that can, and nothing older than 1.2. The institution's certificate must be for
the host in its URL.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from broker.certificate import CertificateInUse, read_chain
from broker.errors import ConfigError
from broker.model import Access, InstitutionSpec


def encryption(access: Access) -> ssl.SSLContext:
    """TLS that verifies the institution's certificate. Reads the files that are named, each time.

    Raises `ConfigError` with all faults, each with key and reason.
    """
    if access.ca_file is None and access.client_certificate is None:
        return _default()
    context, faults = _verifying(access.ca_file)
    if access.client_certificate is not None:
        faults += _identify(context, access.client_certificate, access.client_key)
    if faults:
        raise ConfigError(*faults)
    return context


def certificates_in_use(specs: Iterable[InstitutionSpec]) -> Iterator[CertificateInUse]:
    """The certificates in the files that are named, without the system's authorities and what only OpenSSL can read."""
    for spec in specs:
        files = (("institution_ca", spec.access.ca_file), ("institution_client", spec.access.client_certificate))
        for role, file in files:
            if file is not None:
                with suppress(OSError, ValueError):
                    for certificate in read_chain(Path(file).read_bytes()):
                        yield CertificateInUse(role, file, certificate, spec.id)


@lru_cache(maxsize=1)
def _default() -> ssl.SSLContext:
    """Reading the system's authorities takes 20 ms."""
    context, _ = _verifying(None)
    return context


def _verifying(ca_file: str | None) -> tuple[ssl.SSLContext, list[str]]:
    faults = []
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        context = ssl.create_default_context()
        faults.append(f"ca_file: {ca_file}: cannot be used as certificates in PEM ({_reason(error)})")
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever the system's configuration allows
    context.set_alpn_protocols(["http/1.1"])
    return context, faults


def _identify(context: ssl.SSLContext, certificate: str, key: str | None) -> list[str]:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        files = certificate if key is None else f"{certificate} with client_key {key}"
        reason = f"cannot be used as a certificate in PEM and its key without a passphrase ({_reason(error)})"
        return [f"client_certificate: {files}: {reason}"]
    return []


def _no_password() -> str:
    """Otherwise OpenSSL would ask for it at the terminal, and the broker would wait."""
    msg = "the key has a passphrase"
    raise ValueError(msg)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return str(error.strerror if isinstance(error, OSError) else error)
