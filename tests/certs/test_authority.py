"""Certificates for development: what they may be used for, and for how long."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from broker.certs.authority import Authority, Issued, now_utc, read_revoked

NOW = now_utc()
DAY = timedelta(days=1)
AUTHORITY = Authority.create("authority", NOW, 30 * DAY)


def parsed(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate)


def test_an_independent_verifier_accepts_servers_by_name_and_callers() -> None:
    store = Store([parsed(AUTHORITY.issued)])
    server = parsed(AUTHORITY.issue_server("broker", ["broker.example", "127.0.0.1"], NOW, DAY))
    policy = PolicyBuilder().store(store).time(NOW.replace(tzinfo=None))
    for host in (x509.DNSName("broker.example"), x509.IPAddress(ip_address("127.0.0.1"))):
        assert policy.build_server_verifier(host).verify(server, [])
    client = parsed(AUTHORITY.issue_client("gateway", ["broker:court:%E4%BA%AC"], NOW, DAY))
    assert policy.build_client_verifier().verify(client, [])


@pytest.mark.parametrize(("days", "expected"), [(1, 1), (30, 30), (400, 30)])
def test_no_certificate_outlives_its_authority(days: int, expected: int) -> None:
    issued = parsed(AUTHORITY.issue_client("x", [], NOW, days * DAY))
    assert issued.not_valid_after_utc == NOW + expected * DAY
    assert NOW - timedelta(hours=1) < issued.not_valid_before_utc < NOW


def test_a_caller_cannot_pose_as_a_server() -> None:
    server = parsed(AUTHORITY.issue_server("broker", ["broker.example"], NOW, DAY))
    client = parsed(AUTHORITY.issue_client("gateway", [], NOW, DAY))
    usages = [list(each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for each in (server, client)]
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert usages == [both, [ExtendedKeyUsageOID.CLIENT_AUTH]], "the broker calls institutions"


def test_an_authority_is_loaded_with_its_own_key_only() -> None:
    other = Authority.create("other", NOW)
    again = Authority.load(AUTHORITY.issued)
    assert again.certificate == AUTHORITY.certificate
    with pytest.raises(ValueError, match="does not belong"):
        Authority.load(Issued(AUTHORITY.certificate, other.issued.key))


def test_what_is_revoked_is_read_back() -> None:
    crl = AUTHORITY.revocation_list({5: NOW, 7: NOW - DAY}, NOW, DAY)
    assert read_revoked(crl) == {5: NOW, 7: NOW - DAY}


def test_a_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(AUTHORITY.issued)
