"""Mutual TLS of the mocks: each institution has a certificate of its own, and asks callers for theirs."""

import ssl
from pathlib import Path


class CertificateError(Exception):
    """The certificates cannot be used. The message says which, and how to make them."""


def server_context(folder: Path, institution_id: str) -> ssl.SSLContext:
    """The TLS of an institution, with the files that `broker certs init` and `broker certs institution` make.

    Callers need a certificate of the authority in `ca.pem`. Raises `CertificateError`.
    """
    certificate = folder / f"institution-{institution_id}.pem"
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        context.load_cert_chain(certificate, certificate.with_name(f"{certificate.stem}-key.pem"))
    except OSError as error:  # ssl.SSLError is one
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        msg = f"{certificate}: cannot be used ({reason}); run: broker certs institution {institution_id} --in {folder}"
        raise CertificateError(msg) from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context
