"""docs/tls.md: its blocks are accepted by what they are for, and make what the page says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from broker.access.identity import identity_of
from broker.access.registry import read_registry
from broker.cli.certs import certs
from tests.end_to_end.documents import blocks


def test_the_registry_is_accepted() -> None:
    (block,) = blocks("docs/tls.md", "toml")
    registry = read_registry(block)
    assert identity_of([], "", registry, dns_names=["gateway.court.example"]).courts == {"京0101", "京0102"}
    assert len(registry.fingerprints) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the page's command needs openssl")
def test_a_request_for_a_certificate_names_the_courts(tmp_path: Path) -> None:
    (command,) = blocks("docs/tls.md", "sh")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602 - our own document
    request = x509.load_pem_x509_csr((tmp_path / "gateway.csr").read_bytes())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert identity_of(uris, "").courts == {"京0101", "京0102"}


def test_the_try_makes_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = next(block for block in blocks("docs/tls.md", "") if "broker certs init" in block)
    for line in commands.splitlines():
        arguments = [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line)]
        assert arguments[:2] == ["broker", "certs"]
        ended = CliRunner().invoke(certs, arguments[2:])
        assert ended.exit_code == 0, ended.output
