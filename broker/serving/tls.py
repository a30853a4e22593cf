"""TLS towards courts: credentials for gRPC that follow their files, and what is revoked.

gRPC asks for a new certificate at every connection, on a thread of its own that all connections wait for. So the answer
is always ready: nothing, or what `look` has read since, on the side of asyncio. Connections that are open go on with
the certificates they began with; `max_connection_age` ends them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from broker.access.identity import EMPTY_REGISTRY, Registry
from broker.certificate import CertificateInUse
from broker.serving.peer import AnonymousPeers, CertifiedPeers, PeerIdentifier
from broker.serving.reloaded_files import ReloadedFiles
from broker.serving.revocation import Revocations
from broker.serving.tls_files import TlsMaterial, read_material, read_revoked_files, revocation_files
from broker.tls_section import TlsConfig

_LOOK = 1.0  # s between two looks at the files


@dataclass(frozen=True, slots=True)
class TlsStatistics:
    """For metrics."""

    in_use: tuple[CertificateInUse, ...]
    crl_next_updates: dict[str, float]
    """By file: seconds since 1970."""
    failures: dict[str, int]
    """By what was to be read again, and could not be used."""


class ServerTls:
    """One worker's TLS. State: what the files hold, and what gRPC has not been given of it yet."""

    def __init__(self, config: TlsConfig, *, clock: Callable[[], float]) -> None:
        """Reads all files. Raises `ConfigError`. `clock`: seconds since 1970."""
        self._min_version = config.min_version
        self._clock = clock
        self._pending: deque[Any] = deque(maxlen=1)
        own_files = [config.certificate, config.key, config.client_ca]
        self._material = ReloadedFiles("tls.certificate", own_files, lambda: read_material(config, clock()))
        self._revocations = ReloadedFiles("tls.crl", revocation_files(config), partial(read_revoked_files, config))

    def credentials(self) -> grpc.ServerCredentials:
        """What to serve with. Callers without a certificate of an authority get no connection."""
        first = _configuration(self._material.value)
        return grpc.dynamic_ssl_server_credentials(first, self._fetch, require_client_authentication=True)

    def revocations(self) -> Revocations:
        """Those in force."""
        return self._revocations.value

    def identifier(self, registry: Registry = EMPTY_REGISTRY) -> CertifiedPeers:
        """Tells who calls over these connections."""
        return CertifiedPeers(self.revocations, registry=registry, min_version=self._min_version, clock=self._clock)

    def look(self) -> None:
        """Looks once whether files have changed."""
        if self._material.look():
            self._pending.append(_configuration(self._material.value))
        self._revocations.look()

    async def watch(self) -> None:
        """Looks each second, until cancelled. Slow disks stop nobody."""
        while True:
            await asyncio.sleep(_LOOK)
            await asyncio.to_thread(self.look)

    def statistics(self) -> TlsStatistics:
        """What is in force."""
        return TlsStatistics(
            in_use=self._material.value.in_use,
            crl_next_updates=dict(self._revocations.value.next_update_by_file),
            failures={"certificate": self._material.failures, "crl": self._revocations.failures},
        )

    def _fetch(self) -> Any:
        """Called by gRPC. None: nothing is new."""
        try:
            return self._pending.pop()
        except IndexError:
            return None


def peer_identifier(tls: ServerTls | None, registry: Registry = EMPTY_REGISTRY) -> PeerIdentifier:
    """Tells who calls; None: over plain text."""
    return tls.identifier(registry) if tls else AnonymousPeers()


def _configuration(material: TlsMaterial) -> Any:
    return grpc.ssl_server_certificate_configuration([(material.key, material.chain)], material.client_ca)
