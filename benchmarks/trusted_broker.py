"""A broker with everything on that makes it trustworthy: mutual TLS, a policy with quotas, the audit log.

The certificates are made here and live in the testbed's folder, beside the policy.
"""

import re
from datetime import timedelta
from pathlib import Path

import grpc

from broker.access.identity import uri_of
from broker.certs.authority import Authority, Issued, now_utc

_LIFETIME = timedelta(days=1)
_NAMES = ("localhost", "127.0.0.1")
_POLICY = """\
[[rule]]
name = "load"
courts = ["{court}"]
officers = ["{officer}"]
kinds = ["bank", "vehicle", "securities", "real_estate"]
quotas = {{court_per_day = 10_000_000}}
"""


class TrustedBroker:
    """What such a broker is configured with, and what its callers need. State: the certificates."""

    def __init__(self, court: str, officer: str) -> None:
        """`court` and `officer`: who may ask."""
        now = now_utc()
        self._authority = Authority.create("benchmark", now)
        self._server = self._authority.issue_server("broker", _NAMES, now, _LIFETIME)
        self._client = self._authority.issue_client("court", [uri_of("court", court)], now, _LIFETIME)
        self._policy = _POLICY.format(court=court, officer=officer)

    def configure(self, text: str, folder: Path) -> str:
        """The configuration with everything on; its files are written to `folder`."""
        _write(folder / "tls.pem", self._server.certificate)
        _write(folder / "tls-key.pem", self._server.key)
        _write(folder / "ca.pem", self._authority.certificate)
        _write(folder / "crl.pem", self._authority.revocation_list({}, now_utc(), _LIFETIME))
        _write(folder / "policy.toml", self._policy.encode())
        for key, value in {
            "certificate": "tls.pem",
            "key": "tls-key.pem",
            "client_ca": "ca.pem",
            "policy": "policy.toml",
        }.items():
            text = _set(text, key, f'"{value}"')
        text = _set(text, "crl", '["crl.pem"]')
        return text.replace('\npath = ""', '\npath = "audit"', 1)  # the only path that is off

    def credentials(self) -> grpc.ChannelCredentials:
        """The caller's."""
        client: Issued = self._client
        return grpc.ssl_channel_credentials(self._authority.certificate, client.key, client.certificate)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def _set(text: str, key: str, value: str) -> str:
    """The configuration with another value of a key that comes once outside of institutions' blocks."""
    head, mark, blocks = text.partition("[[institution]]")
    head, count = re.subn(rf"^{key} = \S+", f"{key} = {value}", head, flags=re.MULTILINE)
    if count != 1:
        msg = f"the configuration has {count} keys {key}"
        raise ValueError(msg)
    return head + mark + blocks
