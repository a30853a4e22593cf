"""Metrics of the certificates on which connections depend: when they end, and whether new ones could be used."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.certificate import CertificateInUse

_SHOWN = 16  # hexadecimal digits of a fingerprint, which tell certificates of one file apart


class TransportSecurity(Protocol):
    """What is known of the certificates in use towards courts."""

    @property
    def in_use(self) -> Iterable[CertificateInUse]:
        """See `CertificateInUse`."""

    @property
    def crl_next_updates(self) -> Mapping[str, float]:
        """By file: seconds since 1970."""

    @property
    def failures(self) -> Mapping[str, int]:
        """By what was to be read again, and could not be used."""


class CertificateCollector(Collector):
    """Collects when certificates and revocation lists end."""

    def __init__(
        self, security: Callable[[], TransportSecurity] | None, institutions: Iterable[CertificateInUse]
    ) -> None:
        """`security`: towards courts; None: the broker serves plain text. `institutions`: those towards them."""
        self._security = security
        self._institutions = tuple(institutions)

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client`."""
        security = self._security() if self._security else None
        yield GaugeMetricFamily("broker_plain_text", "1 if courts are served without TLS, else 0.", int(not security))
        expiry = GaugeMetricFamily(
            "broker_certificate_expiry_timestamp_seconds",
            "When a certificate in use expires, in seconds since 1970.",
            labels=["role", "institution", "file", "fingerprint"],
        )
        for each in (*(security.in_use if security else ()), *self._institutions):
            certificate = each.certificate
            labels = [each.role, each.institution, each.file, certificate.fingerprint[:_SHOWN]]
            expiry.add_metric(labels, certificate.not_after)
        yield expiry
        if security:
            yield from self._collect_files(security)

    def _collect_files(self, security: TransportSecurity) -> Iterator[Metric]:
        updates = GaugeMetricFamily(
            "broker_crl_next_update_timestamp_seconds",
            "When the revocation lists in a file end, in seconds since 1970; see tls.unknown_revocation.",
            labels=["file"],
        )
        for file, moment in security.crl_next_updates.items():
            updates.add_metric([file], moment)
        failures = CounterMetricFamily(
            "broker_tls_reload_failures",
            "Files that changed and could not be used; old ones are in force.",
            labels=["what"],
        )
        for what, count in security.failures.items():
            failures.add_metric([what], count)
        yield from (updates, failures)
