"""The signer: keys in files, and signatures that a broker accepts."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.access.court_set import parse_court_set
from broker.access.signature import RegisteredKey, verify
from broker.access.signed_request import INVESTIGATE_PATH, decoded_key, digest_of
from broker.client.signing import Signer, make_key
from broker.core.subjects.mandate import read_mandate

MANDATE = read_mandate("京0101", "王法官", "（2026）京0101执1号", "协助查询通知书1号")
NOW = 1_767_225_600.0


def test_what_it_signs_is_accepted(tmp_path: Path) -> None:
    made = make_key(tmp_path / "keys" / "officer.key")
    read = Signer.read(tmp_path / "keys" / "officer.key")
    assert read.public_key == made.public_key
    signer = Signer(read._key, clock=lambda: NOW)
    public = decoded_key(signer.public_key)
    keys = {public: RegisteredKey(name="key", public=public, courts=parse_court_set(["*"]))}
    metadata = signer.sign(INVESTIGATE_PATH, b"request")
    assert verify(metadata, keys, MANDATE, digest_of(b"request"), NOW) is not None


def test_a_key_file_is_its_owners_and_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "officer.key"
    make_key(path)
    assert path.stat().st_mode & 0o77 == 0
    content = path.read_bytes()
    with pytest.raises(ValueError, match="exists already"):
        make_key(path)
    assert path.read_bytes() == content


def test_a_file_that_is_no_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "officer.key"
    with pytest.raises(ValueError, match="cannot be used"):
        Signer.read(path)
    path.write_bytes(b"a secret that is no key")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        Signer.read(path)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="no private key in PEM") as caught:
        Signer.read(path)
    assert "secret" not in str(caught.value)
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="no Ed25519 key"):
        Signer.read(path)
