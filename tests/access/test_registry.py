"""The registry of certificates that do not say whom they name."""

import pytest

from broker.access.identity import EMPTY_REGISTRY, identity_of
from broker.access.registry import read_registry
from broker.errors import ConfigError

PRINT = "ab" * 32


def test_names_and_fingerprints_are_given_courts() -> None:
    registry = read_registry(f"""
        [[certificate]]
        names = ["spiffe://x/Gateway", "Gateway.Example"]
        courts = ["京0101", "京0102"]
        [[certificate]]
        names = ["gateway.example"]
        operators = ["night shift"]
        [[certificate]]
        fingerprints = ["{":".join(["AB"] * 32)}"]
        institutions = ["mock-bank"]
    """)
    assert identity_of(["spiffe://x/Gateway"], "", registry).courts == {"京0101", "京0102"}
    by_name = identity_of([], "", registry, dns_names=["gateway.example"])
    assert by_name.courts == {"京0101", "京0102"}
    assert by_name.operators == {"night shift"}
    assert identity_of([], PRINT, registry).institutions == {"mock-bank"}


def test_an_empty_file_names_nobody() -> None:
    assert read_registry("") == EMPTY_REGISTRY


def test_all_faults_are_found_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_registry("""
            courts = 1
            [[certificate]]
            names = ["broker:court:x"]
            courts = ["京0101 ", "x"]
            [[certificate]]
            fingerprints = ["abc"]
            operator = ["x"]
            [[certificate]]
            names = ["a.example"]
            [[certificate]]
            courts = ["京"]
        """)
    faults = caught.value.faults
    assert [fault.split(": ")[0] for fault in faults] == [
        "courts",
        "certificate 1.names",
        "certificate 1.courts",
        "certificate 2.operator",
        "certificate 2.fingerprints",
        "certificate 3.courts",
        "certificate 4.names",
    ]
    assert "did you mean operators" in faults[3]


@pytest.mark.parametrize("text", ["[", "certificate = 1", "[certificate]\nnames = ['a']"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_registry(text)
