"""The demo's certificates: of the broker, the mock institutions, and a gateway for courts; and what they permit."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from broker.certs.folder import LOCAL_HOSTS, CertificateFolder, days, key_of
from broker.client import Credentials

_POLICY = """\
# What `make serve` and `make demo` permit. docs/policy.md has every key.

[[rule]]
name = "gateway"
courts = ["最高法"]
delegation = true # on behalf of every court, since all are below this one

[[rule]]
name = "operator"
operators = ["operator"]
methods = ["ListInstitutions"]
"""
_INSTITUTIONS = ("mock-bank", "mock-vehicle", "mock-securities", "mock-real-estate", "mock-bank-jing")
_LIFETIME = days(30)


@dataclass(frozen=True, slots=True)
class Certificates:
    """A folder with all of them, and with a policy."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Makes them, in place of earlier ones."""
        made = CertificateFolder.create(folder, hosts=[*LOCAL_HOSTS, "broker"], lifetime=_LIFETIME, overwrite=True)
        made.issue("court", ["最高法"], lifetime=_LIFETIME, file="gateway", overwrite=True)
        made.issue("operator", ["operator"], lifetime=_LIFETIME, file="operator", overwrite=True)
        for institution in _INSTITUTIONS:
            made.issue("institution", [institution], lifetime=_LIFETIME, hosts=LOCAL_HOSTS, overwrite=True)
        (folder / "policy.toml").write_text(_POLICY, encoding="utf-8")
        return cls(folder)

    def gateway(self) -> Credentials:
        """Those of the gateway."""
        return Credentials(ca=self._file("ca"), certificate=self._file("gateway"), key=key_of(self._file("gateway")))

    def server_keys(self) -> dict[str, str]:
        """Keys of the sections [tls] and [access], with their values in TOML."""
        broker = self._file("broker")
        return {
            "certificate": _toml(broker),
            "key": _toml(key_of(broker)),
            "client_ca": _toml(self._file("ca")),
            "crl": f"[{_toml(self._file('crl'))}]",
            "policy": _toml(self.folder / "policy.toml"),
        }

    def client_keys(self) -> str:
        """The lines of an institution's block."""
        broker = self._file("broker")
        values = {"ca_file": self._file("ca"), "client_certificate": broker, "client_key": key_of(broker)}
        return "\n".join(f"{key} = {_toml(path)}" for key, path in values.items())

    def towards_institutions(self) -> ssl.SSLContext:
        """TLS for whoever calls the mocks, as the broker does."""
        context = ssl.create_default_context(cafile=self._file("ca"))
        context.load_cert_chain(self._file("broker"), key_of(self._file("broker")))
        return context

    def write_profile(self, address: str) -> None:
        """A profile for the command line, with the broker's address."""
        lines = {"broker": address, "ca": "ca.pem", "certificate": "gateway.pem", "key": "gateway-key.pem"}
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
        (self.folder / "profile.toml").write_text(text, encoding="utf-8")

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


def _toml(path: Path) -> str:
    return json.dumps(path.as_posix(), ensure_ascii=False)
