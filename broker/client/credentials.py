"""With which certificates a client connects: those it trusts, and its own.

gRPC's clients cannot be given new certificates (grpc/grpc#41124), so files that have changed are used by new channels;
calls in progress go on over the old ones.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

PemSource = str | Path | bytes
"""The path of a file in PEM, or its content."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """TLS towards a broker.

    `ca`: certificates of the authorities that may vouch for the broker; without it, gRPC's own list. `certificate` and
    `key` identify the caller, which brokers require. Each is the path of a file in PEM, or its content. Files are read
    again when they change.
    """

    ca: PemSource | None = None
    certificate: PemSource | None = None
    key: PemSource | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises `ValueError` if only one of `certificate` and `key` is given."""
        if (self.certificate is None) != (self.key is None):
            msg = "certificate and key are needed both, or neither"
            raise ValueError(msg)

    @property
    def files(self) -> Sequence[Path]:
        """Those that are named."""
        return [Path(each) for each in self._sources if isinstance(each, str | Path)]

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """The same for gRPC. Raises `ValueError` if a file cannot be read, or certificate and key cannot be used."""
        ca, certificate, key = map(_content, self._sources)
        self._check_files()
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _check_files(self) -> None:
        """Finds in files what gRPC says in no handshake: that a key is another certificate's, for example."""
        ca, certificate, key = (str(each) if isinstance(each, str | Path) else None for each in self._sources)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if ca:
                context.load_verify_locations(ca)
        except (OSError, ValueError):
            msg = f"{ca} cannot be used as certificates in PEM"
            raise ValueError(msg) from None
        try:
            if certificate and key:
                context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError):
            msg = f"{certificate} cannot be used as a certificate in PEM with the key in {key}"
            raise ValueError(msg) from None

    @property
    def _sources(self) -> tuple[PemSource | None, PemSource | None, PemSource | None]:
        return self.ca, self.certificate, self.key


def _content(source: PemSource | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        msg = f"{source} cannot be read ({error.strerror})"
        raise ValueError(msg) from None


def _no_password() -> str:
    """Otherwise OpenSSL would ask for it at the terminal."""
    msg = "the key has a passphrase"
    raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class FileMarks:
    """What files looked like at a moment; equal to another moment's if none has changed."""

    marks: Sequence[Any]

    @classmethod
    def of(cls, files: Sequence[Path]) -> "FileMarks":
        """As they are now."""
        return cls([_mark(file) for file in files])


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
