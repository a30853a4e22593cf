"""Whom a certificate names."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.identity import ANONYMOUS, ROLES, Identity, Registry, identity_of, named, uri_of
from broker.core.subjects.court import CODE, parse_court
from broker.errors import UnauthenticatedError

GATEWAY = Registry(
    names={
        "spiffe://courts.example/gateway": Identity(courts=frozenset({"京0101"})),
        "gateway.example": Identity(courts=frozenset({"京0102"}), operators=frozenset({"night shift"})),
    },
    fingerprints={"ab": Identity(institutions=frozenset({"mock-bank"}))},
)


def test_a_gateway_speaks_for_all_courts_it_names() -> None:
    uris = ["broker:court:%E6%B2%AA0101", "broker:court:%E6%9C%80%E9%AB%98%E6%B3%95", "broker:operator:M%C3%BCller"]
    assert identity_of(uris, "cd") == Identity(
        frozenset({"沪0101", "最高法"}), frozenset(), frozenset({"Müller"}), "cd"
    )


def test_scheme_and_escapes_in_either_case_are_read() -> None:
    assert identity_of(["Broker:court:%e4%ba%ac01"], "").courts == {"京01"}


@pytest.mark.parametrize(
    ("uris", "dns_names", "fingerprint", "courts"),
    [
        (["spiffe://courts.example/gateway"], [], "", {"京0101"}),
        ([], ["gateway.example"], "", {"京0102"}),
        ([], ["GATEWAY.example"], "", {"京0102"}),
        (["broker:court:%E4%BA%AC", "spiffe://courts.example/gateway"], [], "", {"京", "京0101"}),
        ([], [], "ab", set()),
    ],
)
def test_the_registry_names_whom_the_certificate_does_not(
    uris: list[str], dns_names: list[str], fingerprint: str, courts: set[str]
) -> None:
    identity = identity_of(uris, fingerprint, GATEWAY, dns_names=dns_names)
    assert identity.courts == courts
    assert bool(identity.institutions) == (fingerprint == "ab")
    assert identity.fingerprint == fingerprint


@pytest.mark.parametrize(
    "uri",
    [
        "broker:court:%E6%B2%AA01012",  # five digits
        "broker:court:%E6%B2%AA%EF%BC%91%EF%BC%90",  # full-width digits: two spellings of one court
        "broker:court:%20%E6%B2%AA01",
        "broker:court:",
        "broker:court",
        "broker:court:%E6%B2",  # half a character
        "broker:court:%zz",
        "broker:court:%25E6%25B2%25AA0101",  # encoded twice
        "broker:court:%E6%B2%AA0101,%E6%B2%AA0102",
        "broker:judge:x",
        "broker:",
        "broker:institution:Mock Bank",
        "broker:institution:..%2Fetc",
        "broker:operator:",
        "broker:operator:a%0Ab",
        "broker:operator:" + "x" * 65,
    ],
)
def test_a_name_that_cannot_be_read_refuses_the_certificate(uri: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        identity_of(["broker:court:%E4%BA%AC", uri], "cd")
    assert caught.value.reason == "BAD_NAME"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [{}, {"uris": ["https://court.example"]}, {"dns_names": ["broker:court:%E4%BA%AC"]}])
def test_a_certificate_that_names_nobody_is_refused(names: dict[str, list[str]]) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        identity_of(names.get("uris", []), "cd", dns_names=names.get("dns_names", []))
    assert caught.value.reason == "NAMES_NOBODY"


def test_plain_text_is_nobody() -> None:
    assert ANONYMOUS.is_nobody
    assert not ANONYMOUS.fingerprint


@given(st.from_regex(CODE, fullmatch=True))
def test_every_court_can_be_written_into_a_certificate(code: str) -> None:
    court = parse_court(code).code
    uri = uri_of("court", court)
    assert uri.isascii()
    assert identity_of([uri], "").courts == {court}


@given(st.text(max_size=70))
def test_operators_are_read_as_they_were_written(name: str) -> None:
    try:
        expected = named("operator", name)
    except ValueError:
        return
    assert identity_of([uri_of("operator", name)], "").operators == expected.operators == {name}


@given(st.text(), st.sampled_from(["", *ROLES]), st.sampled_from(["broker:", ""]))
def test_any_uri_is_read_or_refused(text: str, role: str, scheme: str) -> None:
    with suppress(UnauthenticatedError):
        assert not identity_of([f"{scheme}{role}:{text}"], "cd").is_nobody
