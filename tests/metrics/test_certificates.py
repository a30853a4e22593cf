"""What operators are told of certificates: when they end, and nobody's name."""

from datetime import timedelta

from prometheus_client import CollectorRegistry, generate_latest

from broker.certificate import CertificateInUse, read_chain
from broker.certs.authority import Authority, now_utc
from broker.metrics.certificates import CertificateCollector
from broker.serving.tls import TlsStatistics

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("Authority of Wang Wei", NOW)
(SERVER,) = read_chain(AUTHORITY.issue_server("Wang Wei", ["localhost"], NOW, DAY).certificate)
(CLIENT,) = read_chain(AUTHORITY.issue_client("Wang Wei", ["broker:operator:Wang%20Wei"], NOW, 2 * DAY).certificate)


def told(collector: CertificateCollector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_when_certificates_end_is_told_without_names() -> None:
    statistics = TlsStatistics(
        in_use=(CertificateInUse("server", "broker.pem", SERVER),),
        crl_next_updates={"a.crl": 7.0},
        failures={"certificate": 2, "crl": 0},
    )
    bank = CertificateInUse("institution_client", "bank.pem", CLIENT, "bank")
    text = told(CertificateCollector(lambda: statistics, [bank]))
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    name = "broker_certificate_expiry_timestamp_seconds"
    own = f'file="broker.pem",fingerprint="{SERVER.fingerprint[:16]}",institution="",role="server"'
    banks = f'file="bank.pem",fingerprint="{CLIENT.fingerprint[:16]}",institution="bank",role="institution_client"'
    assert {key: float(value) for key, value in samples.items()} == {
        "broker_plain_text": 0,
        f"{name}{{{own}}}": (NOW + DAY).timestamp(),
        f"{name}{{{banks}}}": (NOW + 2 * DAY).timestamp(),
        'broker_crl_next_update_timestamp_seconds{file="a.crl"}': 7,
        'broker_tls_reload_failures_total{what="certificate"}': 2,
        'broker_tls_reload_failures_total{what="crl"}': 0,
    }
    assert "Wang" not in text


def test_plain_text_is_told() -> None:
    assert "broker_plain_text 1.0" in told(CertificateCollector(None, []))
