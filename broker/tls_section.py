"""The [tls] section of the configuration: the broker's certificate, and which it accepts of callers."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from broker.sections import ConfigFault, Section


class TlsConfig(Section, frozen=True, kw_only=True):
    """TLS towards courts. Without a certificate the broker serves plain text."""

    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    crl: list[str] = []  # noqa: RUF012 - msgspec copies it
    revoked: str = ""
    unknown_revocation: Literal["refuse", "accept"] = "refuse"
    min_version: Literal["1.2", "1.3"] = "1.2"
    insecure: bool = False

    @property
    def is_on(self) -> bool:
        """Whether the broker serves over TLS."""
        return bool(self.certificate)

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if self.insecure and self.is_on:
            yield ConfigFault("insecure", "contradicts tls.certificate: remove one of the two")
        for name in ("key", "client_ca"):
            if self.is_on and not getattr(self, name):
                yield ConfigFault(name, "is needed beside tls.certificate")
        for name in ("key", "client_ca", "crl", "revoked"):
            if getattr(self, name) and not self.is_on:
                yield ConfigFault(name, "has no effect without tls.certificate")


def plain_text_fault(tls: TlsConfig, listen: str) -> ConfigFault | None:
    """Why the broker does not serve at an address; None if it may: with TLS, on loopback, or if told to."""
    host = listen.rpartition(":")[0].strip("[]")
    if tls.is_on or tls.insecure or is_loopback(host):
        return None
    reason = (
        f"{listen} can be reached from other hosts, and without TLS anybody there could ask; set tls.certificate,"
        " tls.key and tls.client_ca (`broker certs init` makes certificates for a try), or listen on 127.0.0.1."
        " tls.insecure = true permits it, for a network that nobody else can reach"
    )
    return ConfigFault("server.listen", reason)


def is_loopback(host: str) -> bool:
    """Whether only this host can reach it. Of names, this is known of localhost alone (RFC 6761, 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
