"""A broker with everything on that makes it trustworthy: mutual TLS, a policy with a quota, the audit log.

Its certificates are those of the demo, in the testbed's folder.
"""

from pathlib import Path

import grpc

from benchmarks.testbed import with_audit_log
from broker.demo.certificates import Certificates
from broker.demo.testbed import with_server_tls

_POLICY = """\
[[rule]]
name = "load"
courts = ["最高法"]
delegation = true
officers = ["{officer}"]
kinds = ["bank", "vehicle", "securities", "real_estate"]
quotas = {{court_per_day = 10_000_000}}
"""


def configure(text: str, folder: Path, officer: str) -> str:
    """A testbed's configuration with everything on, for requests of an officer; its files are written to `folder`."""
    certificates = Certificates.make(folder / "certs")
    (certificates.folder / "policy.toml").write_text(_POLICY.format(officer=officer), encoding="utf-8")
    return with_audit_log(with_server_tls(text, certificates), folder)


def credentials(folder: Path) -> grpc.ChannelCredentials:
    """The caller's, after `configure`."""
    return Certificates(folder / "certs").gateway().channel_credentials()
