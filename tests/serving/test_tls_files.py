"""The files of the [tls] section: what gRPC would refuse later, or never say, is found when they are read."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from broker.certs.authority import Authority, Issued, now_utc
from broker.errors import ConfigError
from broker.serving.tls_files import read_material, read_revoked_files
from broker.tls_section import TlsConfig

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW - 5 * DAY, 30 * DAY)
OLD_AUTHORITY = Authority.create("old authority", NOW - 5 * DAY, 2 * DAY)
SERVER = AUTHORITY.issue_server("broker", ["localhost"], NOW, DAY)
EXPIRED = AUTHORITY.issue_server("broker", ["localhost"], NOW - 2 * DAY, DAY)
FUTURE = AUTHORITY.issue_server("broker", ["localhost"], NOW + DAY, DAY)
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def _protected(issued: Issued) -> bytes:
    key = serialization.load_pem_private_key(issued.key, None)
    protection = serialization.BestAvailableEncryption(b"word")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


@pytest.fixture
def config(tmp_path: Path) -> TlsConfig:
    contents = {"certificate": SERVER.certificate, "key": SERVER.key, "client_ca": AUTHORITY.certificate}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    certificate, key, client_ca = (str(tmp_path / name) for name in contents)
    return TlsConfig(certificate=certificate, key=key, client_ca=client_ca)


def faults(config: TlsConfig) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_material(config, NOW.timestamp())
    assert not any("PRIVATE" in fault for fault in caught.value.faults)
    return list(caught.value.faults)


def test_what_is_right_is_read_as_it_is(config: TlsConfig) -> None:
    material = read_material(config, NOW.timestamp())
    assert (material.chain, material.key, material.client_ca) == (SERVER.certificate, SERVER.key, AUTHORITY.certificate)
    assert [each.role for each in material.in_use] == ["server", "client_ca"]
    assert "PRIVATE" not in repr(material)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("certificate", EXPIRED.certificate, "has expired; renew it"),
        ("certificate", FUTURE.certificate, "is not valid yet; check the clock"),
        ("certificate", b"", "is empty"),
        ("certificate", b"text", "cannot be used as certificates in PEM"),
        ("certificate", SERVER.certificate[:200], "cannot be used as certificates in PEM"),
        ("key", EXPIRED.key, "does not belong to the certificate"),
        ("key", ED25519, "gRPC can use only ECDSA and RSA keys"),
        ("key", _protected(SERVER), "without a passphrase"),
        ("key", SERVER.certificate, "cannot be used as a private key"),
        ("client_ca", b"", "is empty"),
        ("client_ca", SERVER.key, "cannot be used as certificates in PEM"),
        ("client_ca", SERVER.certificate, "CN=broker is no authority's certificate"),
        ("client_ca", OLD_AUTHORITY.certificate, "has expired; renew it"),
    ],
)
def test_what_cannot_be_used_is_refused(config: TlsConfig, name: str, content: bytes, reason: str) -> None:
    Path(getattr(config, name)).write_bytes(content)
    found = [fault for fault in faults(config) if fault.startswith(f"{name}: ")]
    assert any(reason in fault for fault in found), found


def test_an_authority_that_is_replaced_may_stay_until_it_has_expired_and_longer(config: TlsConfig) -> None:
    both = OLD_AUTHORITY.certificate + AUTHORITY.certificate
    Path(config.client_ca).write_bytes(both)
    assert len(read_material(config, NOW.timestamp()).in_use) == 3


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_key_that_everybody_can_read_is_refused(config: TlsConfig, mode: int, *, refused: bool) -> None:
    Path(config.key).chmod(mode)
    if refused:
        assert faults(config) == [f"key: {config.key}: everybody on this host may use it; run: chmod 600 {config.key}"]
    else:
        assert read_material(config, NOW.timestamp())


def test_missing_files_are_found_all_at_once(config: TlsConfig) -> None:
    gone = msgspec.structs.replace(config, certificate="no-certificate", key="no-key", client_ca="no-ca")
    assert [fault.partition(" (")[0] for fault in faults(gone)] == [
        "certificate: no-certificate: cannot be read",
        "client_ca: no-ca: cannot be read",
        "key: no-key: cannot be read",
    ]


def test_revoked_certificates_are_read_from_both_files(config: TlsConfig, tmp_path: Path) -> None:
    (tmp_path / "crl").write_bytes(AUTHORITY.revocation_list({7: NOW}, NOW, DAY))
    (tmp_path / "list").write_text("ab" * 32)
    changes: dict[str, Any] = {"crl": [str(tmp_path / "crl")], "revoked": str(tmp_path / "list")}
    found = read_revoked_files(msgspec.structs.replace(config, **changes))
    issuer = x509.load_pem_x509_certificate(AUTHORITY.certificate).subject.public_bytes()
    assert found.serials == {(issuer, 7)}
    assert found.fingerprints == {"ab" * 32}
    assert found.next_update_by_file == {str(tmp_path / "crl"): (NOW + DAY).timestamp()}
    with pytest.raises(ConfigError) as caught:
        read_revoked_files(msgspec.structs.replace(config, crl=["no-crl"], revoked="no-list"))
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == ["crl", "revoked"]


@pytest.mark.parametrize(("name", "content"), [("revoked", b"\xff"), ("client_ca", b"text")])
def test_lists_that_cannot_be_read_are_a_fault(config: TlsConfig, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="must be UTF-8 and PEM"):
        read_revoked_files(msgspec.structs.replace(config, **{name: str(tmp_path / name)}))
