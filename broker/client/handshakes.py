"""Why no connection came about: what gRPC says of a failed handshake, and what it mostly means. Pure.

A broker that refuses a certificate closes the connection, and gRPC tells the caller no more than that.
"""

from broker.client.credentials import Credentials

_NO_CONNECTION = "failed to connect to all addresses"


_MEANINGS = {
    "WRONG_VERSION_NUMBER": "the broker answers in plain text: connect without certificates, or to another port",
    "CERTIFICATE_VERIFY_FAILED": "the broker's certificate is not trusted: check that ca holds the authority that"
    " issued it, and that it has not expired",
    "ostname": "the broker's certificate is for another host: use an address that is among its names",
    "security handshaker": "the certificates cannot be used: check that ca is PEM, and that the key belongs to the"
    " certificate",
}
"""By what is in the details."""


def explain(details: str, credentials: Credentials | None) -> str | None:
    """What to check, given the details of a status UNAVAILABLE; None if the handshake has not failed."""
    if _NO_CONNECTION not in details:
        return None
    for part, meaning in _MEANINGS.items():
        if part in details:
            return meaning
    if "Socket closed" in details or "handshake failed" in details:
        return _closed(credentials)
    return None


def _closed(credentials: Credentials | None) -> str:
    if credentials is None:
        return "the broker closed the connection: it probably serves over TLS; give ca, certificate and key"
    if credentials.certificate is None:
        return "the broker closed the connection: it requires a client certificate; give certificate and key"
    return (
        "the broker closed the connection: it probably refused the certificate; check that it has not expired, that the"
        " broker trusts its authority (tls.client_ca), and that it is for ECDSA P-256 or RSA"
    )
