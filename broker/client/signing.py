"""Signs requests with a key in a file, for brokers whose policy requires signatures. Needs the package `cryptography`.

    async with Client(address, signer=Signer.read(Path("officer.key"))) as client:
        ...

`broker policy new-key` makes such a file. A key that is in no file, but on a card or in a hardware module, signs
through a `RequestSigner` of your own.
"""

import time
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from broker.access.signed_request import (
    KEY_METADATA,
    SIGNATURE_METADATA,
    digest_of,
    encoded_key,
    joined,
    statement,
)
from broker.client.client import Metadata
from broker.private_file import PrivateFileError, make_private, read_private


class Signer:
    """A `RequestSigner` with an Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch: a signature counts for five minutes."""
        self._key = key
        self._public = key.public_key().public_bytes_raw()
        self._clock = clock

    @classmethod
    def read(cls, path: Path) -> "Signer":
        """The signer with the key in a PEM file. Raises `ValueError` if it cannot be used, with what to do."""
        try:
            key = load_pem_private_key(read_private(path), password=None)
        except PrivateFileError as error:
            msg = f"{path}: {error}"
            raise ValueError(msg) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):  # their texts are about the content
            msg = f"{path}: is no private key in PEM without a passphrase; `broker policy new-key` makes one"
            raise ValueError(msg) from None
        if not isinstance(key, Ed25519PrivateKey):
            msg = f"{path}: is no Ed25519 key; `broker policy new-key` makes one"
            raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the program
        return cls(key)

    @property
    def public_key(self) -> str:
        """As the policy of a broker has it."""
        return encoded_key(self._public)

    def sign(self, path: str, body: bytes) -> Metadata:
        """See `RequestSigner`."""
        signed_at = int(self._clock())
        signature = self._key.sign(statement(path, self._public, signed_at, digest_of(body)))
        return ((KEY_METADATA, self.public_key), (SIGNATURE_METADATA, joined(signed_at, signature)))


def make_key(path: Path) -> Signer:
    """Makes a file with a new key, which only its owner may read. Raises `ValueError` if there is a file already."""
    key = Ed25519PrivateKey.generate()
    if path.exists():
        msg = f"{path}: exists already; choose another name, or remove it first"
        raise ValueError(msg)
    try:
        make_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except PrivateFileError as error:
        msg = f"{path}: {error}"
        raise ValueError(msg) from None
    return Signer(key)
