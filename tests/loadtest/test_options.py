"""The load test's options in Locust's parser."""

from typing import Any

import pytest
from configargparse import ArgumentParser  # that of Locust, whose import would patch the threads of this process

from broker.client import Credentials
from loadtest.options import add_options, credentials_of

FILES = {"ca": "ca.pem", "certificate": "gateway.pem", "key": "gateway-key.pem"}


def parsed(*arguments: str) -> Any:
    parser = ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def test_certificates_come_from_options_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials_of(parsed()) is None
    options = [part for name, file in FILES.items() for part in (f"--{name}", file)]
    assert credentials_of(parsed(*options)) == Credentials(**FILES)
    for name, file in FILES.items():
        monkeypatch.setenv(f"BROKER_{name.upper()}", file)
    assert credentials_of(parsed()) == Credentials(**FILES)


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="both, or neither"):
        credentials_of(parsed("--certificate", "gateway.pem"))
