"""A folder with a development authority and what it has issued.

    ca.pem, ca-key.pem          the authority
    crl.pem                     what it has revoked
    broker.pem, broker-key.pem  the broker's certificate, for courts and towards institutions
    NAME.pem, NAME-key.pem      every other certificate, such as court-京0101.pem or institution-mock-bank.pem

Keys are readable by their owner only, from their first moment. Nothing is overwritten unless that is asked for.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from broker.access.identity import INSTITUTION, named, uri_of
from broker.certs.authority import Authority, Issued, now_utc, read_revoked
from broker.errors import BrokerError

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
CRL_LIFETIME = timedelta(days=30)
_UNSAFE = re.compile(r"[^\w.-]")


class CertificateFolderError(BrokerError):
    """A file is missing, in the way, or cannot be used. The message says what to do."""


class CertificateFolder:
    """The folder. State: its files."""

    def __init__(self, path: Path) -> None:
        """See `create`, for a new one."""
        self.path = path

    @classmethod
    def create(
        cls, path: Path, *, hosts: Sequence[str], lifetime: timedelta, overwrite: bool = False
    ) -> "CertificateFolder":
        """Makes the authority, an empty revocation list, and the broker's certificate for `hosts`.

        Raises `CertificateFolderError` if there is one, unless it may be overwritten.
        """
        folder, now = cls(path), now_utc()
        authority = Authority.create(f"development authority of {now:%Y-%m-%d %H:%M:%S} UTC", now)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{path} cannot be made ({error.strerror})"
            raise CertificateFolderError(msg) from error
        broker = authority.issue_server("broker", hosts, now, lifetime)
        crl = authority.revocation_list({}, now, CRL_LIFETIME)
        files = {**_pair("ca", authority.issued), **_pair("broker", broker), "crl.pem": crl}
        folder._write(files, overwrite=overwrite)
        return folder

    def issue(
        self,
        role: str,
        names: Sequence[str],
        *,
        lifetime: timedelta,
        file: str = "",
        hosts: Sequence[str] = (),
        overwrite: bool = False,
    ) -> Path:
        """A certificate that names courts, institutions or operators; of an institution, also its server's for `hosts`.

        `file`: the name of the file without its ending; by default, role and first name. Returns the certificate's
        path; its key is beside it. Raises `CertificateFolderError`.
        """
        authority, now = self._authority(), now_utc()
        try:
            for name in names:
                named(role, name)
        except ValueError as error:
            msg = f"{role} {name!r}: {error}"
            raise CertificateFolderError(msg) from None
        uris = [uri_of(role, name) for name in names]
        title = _UNSAFE.sub("_", file or f"{role}-{names[0]}")
        if role == INSTITUTION:
            issued = authority.issue_server(title, hosts, now, lifetime, uris=uris)
        else:
            issued = authority.issue_client(title, uris, now, lifetime)
        self._write(_pair(title, issued), overwrite=overwrite)
        return self.path / f"{title}.pem"

    def revoke(self, files: Sequence[Path]) -> Path:
        """Adds certificates to the revocation list, and signs it anew. Returns its path.

        Raises `CertificateFolderError`.
        """
        authority, now = self._authority(), now_utc()
        path = self.path / "crl.pem"
        try:
            revoked = read_revoked(path.read_bytes()) if path.exists() else {}
            for file in files:
                revoked.setdefault(self._serial(file), now)
        except ValueError:
            msg = f"{path}: is no revocation list; remove it to begin a new one"
            raise CertificateFolderError(msg) from None
        self._write({"crl.pem": authority.revocation_list(revoked, now, CRL_LIFETIME)}, overwrite=True)
        return path

    def _serial(self, file: Path) -> int:
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
            authority = x509.load_pem_x509_certificate((self.path / "ca.pem").read_bytes())
            certificate.verify_directly_issued_by(authority)
        except OSError as error:
            msg = f"{file}: cannot be read ({error.strerror})"
            raise CertificateFolderError(msg) from None
        except Exception:  # noqa: BLE001 - what is no certificate, and what another authority has signed
            msg = f"{file}: is no certificate of the authority in {self.path}"
            raise CertificateFolderError(msg) from None
        return certificate.serial_number

    def _authority(self) -> Authority:
        certificate, key = self.path / "ca.pem", self.path / "ca-key.pem"
        try:
            return Authority.load(Issued(certificate.read_bytes(), key.read_bytes()))
        except OSError as error:
            msg = f"{error.filename}: cannot be read ({error.strerror}); run: broker certs init {self.path}"
            raise CertificateFolderError(msg) from None
        except (ValueError, TypeError):
            msg = f"{certificate} and {key} are no authority; run: broker certs init --force {self.path}"
            raise CertificateFolderError(msg) from None

    def _write(self, files: Mapping[str, bytes], *, overwrite: bool) -> None:
        present = [str(self.path / name) for name in files if (self.path / name).exists()]
        if present and not overwrite:
            msg = f"{', '.join(present)}: would be overwritten; choose another name, or use --force"
            raise CertificateFolderError(msg)
        try:
            for name, content in files.items():
                _replace(self.path / name, content, 0o600 if name.endswith("-key.pem") else 0o644)
        except OSError as error:
            msg = f"{error.filename}: cannot be written ({error.strerror})"
            raise CertificateFolderError(msg) from None


def days(count: int) -> timedelta:
    """A lifetime."""
    return timedelta(days=count)


def valid_until(file: Path) -> datetime:
    """The moment at which a certificate expires."""
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


def key_of(certificate: Path) -> Path:
    """The file of the key to a certificate's file."""
    return certificate.with_name(f"{certificate.stem}-key.pem")


def _pair(name: str, issued: Issued) -> dict[str, bytes]:
    return {f"{name}-key.pem": issued.key, f"{name}.pem": issued.certificate}


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Writes a file under another name, and gives it its own when it is whole."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
