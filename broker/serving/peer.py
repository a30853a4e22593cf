"""Who calls: the identity of a call's peer, from its certificate.

TLS has checked, when the connection was made, that an authority vouches for the certificate. What may change while the
connection is open is checked here for every request: whether the certificate has expired or is revoked. A certificate
is parsed once, and then known by its bytes.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from broker.access.identity import ANONYMOUS, EMPTY_REGISTRY, Identity, Registry, identity_of
from broker.certificate import Certificate, read_chain
from broker.errors import UnauthenticatedError
from broker.serving.revocation import Revocations

_MOST_KNOWN = 4096  # certificates of some 2 kB each; a country has some 3,500 courts

_REASONS = {
    "REVOKED": "the certificate has been revoked; ask the broker's operator for a new one",
    "REVOCATION_UNKNOWN": "the broker has no current revocation list of the certificate's issuer; tell its operator",
}


class PeerIdentifier(Protocol):
    """Tells who calls."""

    def identify(self, context: Any) -> Identity:
        """The identity of the peer of a call (`grpc.aio.ServicerContext`). Raises `UnauthenticatedError`."""


class AnonymousPeers:
    """Of callers over plain text nothing is known."""

    def identify(self, context: Any) -> Identity:  # noqa: ARG002 - there is nothing in it
        """See `PeerIdentifier`."""
        return ANONYMOUS


@dataclass(frozen=True, slots=True)
class _Peer:
    certificates: Sequence[Certificate]
    """The peer's own, and those between it and the authority."""
    identity: Identity


class CertifiedPeers:
    """Callers with certificates. State: those that were seen last."""

    def __init__(
        self,
        revocations: Callable[[], Revocations],
        *,
        registry: Registry = EMPTY_REGISTRY,
        min_version: str = "1.2",
        clock: Callable[[], float],
    ) -> None:
        """`revocations`: those in force. `min_version`: of TLS. `clock`: seconds since 1970."""
        self._revocations = revocations
        self._registry = registry
        self._min_version = f"TLSv{min_version}".encode()
        self._clock = clock
        self._known: OrderedDict[tuple[bytes, ...], _Peer] = OrderedDict()

    def identify(self, context: Any) -> Identity:
        """See `PeerIdentifier`."""
        told: Mapping[str, Sequence[bytes]] = context.auth_context()
        own = told.get("x509_pem_cert")
        if not own:
            raise UnauthenticatedError("NO_CERTIFICATE", "a client certificate is needed")
        self._check_version(told)
        peer = self._peer((own[0], *told.get("x509_pem_cert_chain", ())))
        try:
            self._check_validity(peer.certificates)
        except UnauthenticatedError as error:
            error.fingerprint, error.speaks_for = peer.identity.fingerprint, peer.identity.names
            raise
        return peer.identity

    def _check_version(self, told: Mapping[str, Sequence[bytes]]) -> None:
        version = told.get("ssl_tls_version", (b"",))[0]
        if version < self._min_version:
            text = f"TLS {self._min_version[4:].decode()} is needed, and the connection uses {version.decode()[:10]!r}"
            raise UnauthenticatedError("TLS_VERSION", text)

    def _peer(self, pems: tuple[bytes, ...]) -> _Peer:
        peer = self._known.get(pems)
        if peer is None:
            peer = self._known[pems] = _read(pems, self._registry)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(pems)
        return peer

    def _check_validity(self, certificates: Sequence[Certificate]) -> None:
        now, revocations = self._clock(), self._revocations()
        for certificate in certificates:
            if not certificate.not_before <= now < certificate.not_after:
                raise UnauthenticatedError("EXPIRED", "the certificate has expired, or is not valid yet; renew it")
            reason = revocations.reason(certificate, now)
            if reason:
                raise UnauthenticatedError(reason, _REASONS[reason])


def _read(pems: tuple[bytes, ...], registry: Registry) -> _Peer:
    try:
        own, *others = [certificate for pem in pems for certificate in read_chain(pem)]
    except ValueError:
        raise UnauthenticatedError("BAD_CERTIFICATE", "the certificate cannot be read; have it issued anew") from None
    try:
        identity = identity_of(own.uris, own.fingerprint, registry, dns_names=own.dns_names)
    except UnauthenticatedError as error:
        error.fingerprint = own.fingerprint
        raise
    return _Peer((own, *others), identity)
