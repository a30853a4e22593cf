"""`broker certs`: an authority for development, and certificates of the broker, courts, institutions and operators."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from broker.certificate import Certificate, read_chain
from broker.certs.folder import LOCAL_HOSTS, CertificateFolder, CertificateFolderError, days, key_of, valid_until
from broker.cli.exits import Exit, fail

_folder = click.Path(file_okay=False, path_type=Path)
_file = click.Path(dir_okay=False, path_type=Path)
_in_option = click.option(
    "--in", "path", type=_folder, default="certs", show_default=True, metavar="DIR", help="The authority's folder."
)
_days_option = click.option(
    "--days", "count", type=click.IntRange(min=1, max=3650), default=365, show_default=True, help="Lifetime."
)
_name_option = click.option("--name", "file", default="", metavar="FILE", help="Name of the files, without .pem.")
_force_option = click.option("--force", is_flag=True, help="Overwrite files.")


@click.group()
def certs() -> None:
    """Make certificates for development and tests: an authority, and what it issues.

    The broker serves over mutual TLS: it shows a certificate, and every caller shows one. A caller's certificate says
    by its URIs whom it speaks for: courts, an institution, or an operator of the broker.

    For real courts use an authority whose key is kept offline, and have it issue certificates of the same shape: ECDSA
    P-256 or RSA (gRPC cannot use Ed25519), with URIs such as broker:court:%E4%BA%AC0101 among the subject alternative
    names. `broker certs show` prints what the broker reads of any certificate. docs/tls.md has the rest.

    \b
    broker certs init certs --host broker.example
    broker certs court 京0101 京0102 --name gateway
    broker certs institution mock-bank
    broker certs operator "night shift"
    broker certs show certs/gateway.pem
    broker certs revoke certs/gateway.pem
    """  # noqa: D301 - click reads the backspaces


@certs.command()
@click.argument("path", type=_folder, default="certs", metavar="[DIR]")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="DNS name or IP address of the broker. Repeatable."
)
@_days_option
@_force_option
def init(path: Path, hosts: tuple[str, ...], count: int, *, force: bool) -> None:
    """Make an authority, an empty revocation list, and the broker's certificate, in DIR (certs).

    The broker's certificate is for localhost, 127.0.0.1, ::1 and every --host. The broker also uses it towards
    institutions that ask for one. Whoever has ca-key.pem can pose as any court: keep it off the broker's host, except
    in development.

    \b
    broker certs init
    broker certs init /etc/broker/tls --host broker.court.example --days 90
    """  # noqa: D301 - click reads the backspaces
    with _failing():
        CertificateFolder.create(path, hosts=[*LOCAL_HOSTS, *hosts], lifetime=days(count), overwrite=force)
    click.echo(f"""wrote ca.pem, crl.pem and broker.pem with their keys to {path}; in the broker's configuration:

[tls]
certificate = "{path / "broker.pem"}"
key = "{path / "broker-key.pem"}"
client_ca = "{path / "ca.pem"}"
crl = ["{path / "crl.pem"}"]

with TLS a policy is needed, too: access.policy in the configuration (docs/policy.md)
next, a certificate for a court: broker certs court 京0101 --in {path}""")


@certs.command()
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@_in_option
@_name_option
@_days_option
@_force_option
def court(codes: tuple[str, ...], **given: Any) -> None:
    """Make a certificate that speaks for one court, or for several: that of a gateway.

    \b
    broker certs court 京0101
    broker certs court 最高法 京 京01 --name gateway
    """  # noqa: D301 - click reads the backspaces
    _issue("court", codes, **given)


@certs.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="DNS name or IP address. Repeatable.")
@_in_option
@_name_option
@_days_option
@_force_option
def institution(ids: tuple[str, ...], hosts: tuple[str, ...], **given: Any) -> None:
    """Make the certificate of an institution: of its server, and for calls it makes itself.

    It is for localhost, 127.0.0.1, ::1 and every --host. `mock-institutions serve --tls DIR` uses those of the mocks.

    \b
    broker certs institution mock-bank
    """  # noqa: D301 - click reads the backspaces
    _issue("institution", ids, hosts=[*LOCAL_HOSTS, *hosts], **given)


@certs.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_in_option
@_name_option
@_days_option
@_force_option
def operator(names: tuple[str, ...], **given: Any) -> None:
    """Make the certificate of an operator of the broker, under any name without control characters.

    \b
    broker certs operator "night shift"
    """  # noqa: D301 - click reads the backspaces
    _issue("operator", names, **given)


def _issue(role: str, names: tuple[str, ...], *, path: Path, count: int, force: bool, **given: Any) -> None:
    with _failing():
        made = CertificateFolder(path).issue(role, names, lifetime=days(count), overwrite=force, **given)
    click.echo(f"wrote {made} and {key_of(made)}, valid until {valid_until(made):%Y-%m-%d %H:%M} UTC")
    if role != "institution":
        click.echo(f"use: --ca {path / 'ca.pem'} --certificate {made} --key {key_of(made)}")


@certs.command()
@click.argument("files", nargs=-1, type=_file, metavar="[FILE...]")
@_in_option
def revoke(files: tuple[Path, ...], path: Path) -> None:
    """Revoke certificates: add them to crl.pem, and sign it anew for 30 days.

    A broker that has it in tls.crl refuses them within two seconds, also over connections that are open. Without FILE,
    the list is only signed anew: a broker refuses everybody once its list is past its end.

    \b
    broker certs revoke certs/court-京0101.pem
    """  # noqa: D301 - click reads the backspaces
    with _failing():
        made = CertificateFolder(path).revoke(files)
    click.echo(f"wrote {made}: revoked now: {len(files)}")


@certs.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per certificate.")
def show(file: Path, *, as_json: bool) -> None:
    """Print what the broker reads of the certificates in FILE (PEM): whom they name, and their fingerprints.

    A fingerprint is what the registry and tls.revoked take.

    \b
    broker certs show certs/court-京0101.pem
    """  # noqa: D301 - click reads the backspaces
    try:
        chain = read_chain(file.read_bytes())
    except (OSError, ValueError):
        fail(f"{file}: has no certificates in PEM", Exit.USAGE)
    printed: Callable[[dict[str, Any]], str] = _as_json if as_json else _as_text
    click.echo("\n".join(printed(_described(certificate)) for certificate in chain))


def _described(certificate: Certificate) -> dict[str, Any]:
    return {
        "fingerprint": certificate.fingerprint,
        "serial": f"{certificate.serial:x}",
        "not_before": _moment(certificate.not_before),
        "not_after": _moment(certificate.not_after),
        "uris": [unquote(uri) for uri in certificate.uris],
        "dns_names": list(certificate.dns_names),
    }


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _as_json(described: dict[str, Any]) -> str:
    return json.dumps(described, ensure_ascii=False)


def _as_text(described: dict[str, Any]) -> str:
    lines = [
        f"{name.replace('_', ' '):12} {each}"
        for name, value in described.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except CertificateFolderError as error:
        fail(str(error), Exit.USAGE)
