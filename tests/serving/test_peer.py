"""Who calls: certificates as gRPC tells them, what becomes of them while a connection is open, and what is refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from broker.access.identity import ANONYMOUS, Identity, Registry, uri_of
from broker.certs.authority import Authority, now_utc
from broker.errors import ConfigError, UnauthenticatedError
from broker.serving import peer
from broker.serving.peer import AnonymousPeers, CertifiedPeers
from broker.serving.revocation import Revocations, read_revocations

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW)
OTHER = Authority.create("another authority", NOW)
GATEWAY = AUTHORITY.issue_client("gateway", [uri_of("court", "京0101"), uri_of("court", "京0102")], NOW, DAY)
PARSED = x509.load_pem_x509_certificate(GATEWAY.certificate)
FINGERPRINT = PARSED.fingerprint(hashes.SHA256()).hex()
AUTHORITIES = x509.load_pem_x509_certificates(AUTHORITY.certificate + OTHER.certificate)


class Call:
    """What gRPC tells of the peer of a call."""

    def __init__(self, *certificates: bytes, version: str = "TLSv1.3") -> None:
        self.told: dict[str, list[bytes]] = {"ssl_tls_version": [version.encode()]}
        if certificates:
            self.told["x509_pem_cert"] = [certificates[0]]
        if len(certificates) > 1:
            self.told["x509_pem_cert_chain"] = [b"".join(certificates[1:])]

    def auth_context(self) -> dict[str, list[bytes]]:
        return self.told


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now.timestamp()


class Setting:
    """An identifier, and what it depends on."""

    def __init__(self, **more: Any) -> None:
        self.clock = Clock()
        self.revocations = Revocations()
        self.peers = CertifiedPeers(lambda: self.revocations, clock=self.clock, **more)

    def refusal(self, call: Call) -> str:
        with pytest.raises(UnauthenticatedError) as caught:
            self.peers.identify(call)
        return caught.value.reason


def revoked_by(authority: Authority, *serials: int, until: timedelta = DAY) -> bytes:
    return authority.revocation_list(dict.fromkeys(serials, NOW), NOW, until)


def test_a_gateway_is_known_by_its_certificate() -> None:
    identity = Setting().peers.identify(Call(GATEWAY.certificate))
    assert identity == Identity(courts=frozenset({"京0101", "京0102"}), fingerprint=FINGERPRINT)


def test_of_plain_text_nothing_is_known() -> None:
    assert AnonymousPeers().identify(Call()) is ANONYMOUS


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call(), "NO_CERTIFICATE"),
        (Call(AUTHORITY.issue_client("x", [], NOW, DAY).certificate), "NAMES_NOBODY"),
        (Call(AUTHORITY.issue_client("x", ["broker:court:x"], NOW, DAY).certificate), "BAD_NAME"),
        (Call(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "BAD_CERTIFICATE"),
        (Call(GATEWAY.certificate, b"no certificate"), "BAD_CERTIFICATE"),
        (Call(GATEWAY.certificate, version="TLSv1.1"), "TLS_VERSION"),
    ],
)
def test_whoever_is_not_known_is_refused(call: Call, reason: str) -> None:
    setting = Setting()
    assert setting.refusal(call) == reason
    assert setting.refusal(call) == reason, "also the second time"


def test_the_registry_gives_a_certificate_its_names() -> None:
    registry = Registry(fingerprints={FINGERPRINT: Identity(operators=frozenset({"night shift"}))})
    assert Setting(registry=registry).peers.identify(Call(GATEWAY.certificate)).operators == {"night shift"}


@pytest.mark.parametrize(("version", "refused"), [("TLSv1.2", True), ("TLSv1.3", False)])
def test_an_older_tls_is_refused_if_the_operator_wants_that(version: str, *, refused: bool) -> None:
    call = Call(GATEWAY.certificate, version=version)
    assert Setting().peers.identify(call).courts
    if refused:
        assert Setting(min_version="1.3").refusal(call) == "TLS_VERSION"
    else:
        assert Setting(min_version="1.3").peers.identify(call).courts


def test_a_certificate_expires_while_its_connection_is_open() -> None:
    setting, call = Setting(), Call(GATEWAY.certificate)
    assert setting.peers.identify(call).courts
    setting.clock.now = NOW + DAY - timedelta(seconds=1)
    assert setting.peers.identify(call).courts
    setting.clock.now = NOW + DAY
    assert setting.refusal(call) == "EXPIRED"
    setting.clock.now = NOW - DAY
    assert setting.refusal(call) == "EXPIRED", "not valid yet"


@pytest.mark.parametrize("form", ["PEM", "DER", "list"])
def test_a_certificate_is_revoked_while_its_connection_is_open(form: str) -> None:
    setting, call = Setting(), Call(GATEWAY.certificate)
    assert setting.peers.identify(call).courts
    crl = revoked_by(AUTHORITY, PARSED.serial_number)
    match form:
        case "PEM":
            setting.revocations = read_revocations({"a": revoked_by(OTHER) + crl}, "", AUTHORITIES)
        case "DER":
            der = x509.load_pem_x509_crl(crl).public_bytes(serialization.Encoding.DER)
            setting.revocations = read_revocations({"a": der}, "", AUTHORITIES)
        case _:
            listed = f"# stolen on Monday\n{':'.join([FINGERPRINT.upper()[:2], FINGERPRINT[2:]])}  # gateway\n\n"
            setting.revocations = read_revocations({}, listed, [])
    assert setting.refusal(call) == "REVOKED"


def test_only_what_its_own_issuer_revokes_is_revoked() -> None:
    setting = Setting()
    crls = {"a": revoked_by(OTHER, PARSED.serial_number), "b": revoked_by(AUTHORITY)}
    setting.revocations = read_revocations(crls, "", AUTHORITIES)
    assert setting.peers.identify(Call(GATEWAY.certificate)).courts


def test_a_certificate_between_the_callers_and_the_authority_may_be_revoked() -> None:
    setting = Setting()
    between = AUTHORITY.issue_client("between", [], NOW, DAY).certificate
    serial = x509.load_pem_x509_certificate(between).serial_number
    call = Call(GATEWAY.certificate, between, AUTHORITY.certificate)
    setting.revocations = read_revocations({"a": revoked_by(AUTHORITY)}, "", AUTHORITIES)
    assert setting.peers.identify(call).courts
    setting.revocations = read_revocations({"a": revoked_by(AUTHORITY, serial)}, "", AUTHORITIES)
    assert setting.refusal(call) == "REVOKED"


def test_whatever_a_revoked_authority_has_issued_is_refused() -> None:
    """Also if the caller does not send the authority's certificate, since the broker has it."""
    setting, call = Setting(), Call(GATEWAY.certificate)
    (authority,) = x509.load_pem_x509_certificates(AUTHORITY.certificate)
    setting.revocations = read_revocations({}, authority.fingerprint(hashes.SHA256()).hex(), AUTHORITIES)
    assert setting.refusal(call) == "REVOKED"
    setting.revocations = read_revocations({"a": revoked_by(AUTHORITY, authority.serial_number)}, "", AUTHORITIES)
    assert setting.refusal(call) == "REVOKED"
    stranger = OTHER.issue_client("x", ["broker:court:%E4%BA%AC"], NOW, DAY).certificate
    setting.revocations = read_revocations({}, authority.fingerprint(hashes.SHA256()).hex(), AUTHORITIES)
    assert setting.peers.identify(Call(stranger)).courts == {"京"}


@pytest.mark.parametrize("crl", [revoked_by(AUTHORITY, until=timedelta(hours=1)), revoked_by(OTHER)])
def test_what_no_current_list_tells_of_is_refused_unless_that_is_accepted(crl: bytes) -> None:
    setting, call = Setting(), Call(GATEWAY.certificate)
    setting.clock.now = NOW + timedelta(hours=2)
    setting.revocations = read_revocations({"a": crl}, "", AUTHORITIES)
    assert setting.refusal(call) == "REVOCATION_UNKNOWN"
    setting.revocations = read_revocations({"a": crl}, "", AUTHORITIES, accept_unknown=True)
    assert setting.peers.identify(call).courts


def test_only_the_certificates_seen_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "_MOST_KNOWN", 2)
    setting = Setting()
    for number in range(4):
        setting.peers.identify(Call(GATEWAY.certificate))
        setting.peers.identify(Call(AUTHORITY.issue_client(str(number), ["broker:operator:x"], NOW, DAY).certificate))
    known = setting.peers._known
    assert len(known) == 2
    assert (GATEWAY.certificate,) in known


# --- lists of revoked certificates ------------------------------------------------------------------------------------


def _partial() -> bytes:
    """A CRL that tells of some certificates only."""
    scope = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return _signed(scope=scope)


def _signed(
    *, scope: x509.IssuingDistributionPoint | None = None, begin: datetime = NOW - DAY, authority: Authority = AUTHORITY
) -> bytes:
    key: Any = serialization.load_pem_private_key(authority.issued.key, None)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(AUTHORITIES[0].subject)
        .last_update(begin)
        .next_update(NOW + 2 * DAY)
    )
    if scope:
        builder = builder.add_extension(scope, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("crl", "reason"),
    [
        (b"", "is no certificate revocation list"),
        (b"\x30\x03abc", "is no certificate revocation list"),
        (AUTHORITY.certificate, "is no certificate revocation list"),
        (revoked_by(Authority.create("third", NOW)), "is not signed by an authority in tls.client_ca"),
        (_signed(authority=OTHER), "is not signed by an authority in tls.client_ca"),
        (_partial(), "only complete CRLs can be used"),
        (_signed(begin=NOW + DAY), "is from the future"),
    ],
)
def test_a_list_that_cannot_be_relied_on_is_refused(crl: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_revocations({"a.crl": crl}, "", AUTHORITIES)


def test_all_faults_of_lists_are_found_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_revocations({"a.crl": b"", "b.crl": b""}, "ab\n# fine\ncd", AUTHORITIES)
    assert [fault.partition(" is ")[0] for fault in caught.value.faults] == [
        "crl: a.crl:",
        "crl: b.crl:",
        "revoked: line 1",
        "revoked: line 3",
    ]
