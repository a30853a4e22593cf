"""`broker policy`: checks a policy, explains what it decides, and makes keys with which requests are signed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from broker.access.identity import EMPTY_REGISTRY, ROLES, Identity, Registry, identity_of, named
from broker.access.policy import INVESTIGATE, METHODS, NATIONAL, Asked, Decision, Refusal
from broker.access.policy_file import read_policy
from broker.access.registry import read_registry
from broker.certificate import read_chain
from broker.cli.exits import Exit, fail
from broker.client.signing import make_key
from broker.core.subjects.court import court_region, parse_court
from broker.errors import ConfigError, UnauthenticatedError
from broker.model import ALL_KINDS, Court, Kind
from broker.runtime.access_files import read_text

T = TypeVar("T")

_path = click.Path(dir_okay=False, path_type=Path)
_KINDS = {kind.name.lower(): kind for kind in Kind}
_LOOKUPS = ("person", "property")


@click.group()
def policy() -> None:
    """Check a policy, find out what it decides, and make keys for signed requests.

    A policy says who may ask what. The broker's configuration names it: access.policy. It takes effect when the broker
    starts, and on SIGHUP. docs/policy.md explains its rules.

    \b
    broker policy check policy.toml
    broker policy explain policy.toml --certificate certs/court-京0101.pem --court 京0101 --officer 王法官
    broker policy new-key officer.key --name "王法官 2026" --court 京0101 --officer 王法官
    """  # noqa: D301 - click reads the backspaces


@policy.command()
@click.argument("file", type=_path)
def check(file: Path) -> None:
    """Check the policy in FILE, and report everything that is wrong in it.

    Exit codes: 0, it is valid; 2, it is not.
    """
    read = _read(file, read_policy)
    click.echo(f"{file}: valid, {len(read.rules)} rules, {len(read.keys)} keys")


@policy.command()
@click.argument("file", type=_path)
@click.option("--certificate", type=_path, help="Certificate (PEM) of the caller.")
@click.option("--registry", type=_path, help="Registry of certificates that do not name courts themselves.")
@click.option("--as", "names", multiple=True, metavar="ROLE:NAME", help="Such as court:京01, operator:me. Repeatable.")
@click.option("--method", type=click.Choice(METHODS), default=INVESTIGATE, show_default=True, help="What is called.")
@click.option("--court", "code", metavar="CODE", help="The court of the request (mandate.court_code).")
@click.option("--officer", default="", help="The officer of the request (mandate.officer).")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_KINDS)), help="Default: all. Repeatable.")
@click.option("--region", "regions", multiple=True, help=f"{NATIONAL}, or such as 京. Default: all the court reaches.")
@click.option("--lookup", "lookups", multiple=True, type=click.Choice(_LOOKUPS), help="Default: both. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(file: Path, certificate: Path | None, names: Sequence[str], *, as_json: bool, **given: Any) -> None:
    """Say what the policy in FILE decides about a request of a caller, by which rule, and what every rule says.

    The caller is that of a --certificate, or has the names given with --as. A certificate is neither verified nor
    looked up in a revocation list.

    Exit codes: 0, the request is allowed; 3, it is refused; 2, the command or a file is invalid.

    \b
    broker policy explain policy.toml --as court:京01 --court 京0101 --officer 王法官 --lookup property
    """  # noqa: D301 - click reads the backspaces
    registry_file = given.pop("registry")
    read = _read(file, read_policy)
    identity = _identity(certificate, names, _read(registry_file, read_registry) if registry_file else EMPTY_REGISTRY)
    asked = _asked(**given)
    decision, findings = read.decide(identity, asked), read.findings(identity, asked)
    printed: Callable[..., str] = _as_json if as_json else _as_text
    click.echo(printed(identity, asked, decision, findings))
    raise click.exceptions.Exit(Exit.COMPLETE if decision.allowed else Exit.REFUSED)


@policy.command("new-key")
@click.argument("file", type=_path)
@click.option("--name", required=True, help="What refusals call the key.")
@click.option("--court", "courts", multiple=True, required=True, metavar="CODE", help="Signs for it. Repeatable.")
@click.option("--officer", "officers", multiple=True, help="Signs for this officer alone. Repeatable.")
def new_key(file: Path, name: str, courts: Sequence[str], officers: Sequence[str]) -> None:
    """Make a key with which requests are signed, in FILE, and print its block for the policy.

    FILE is the officer's or the court's alone: whoever has it signs in their name. It is used with
    `broker investigate --sign-key FILE`.
    """
    try:
        signer = make_key(file)
    except ValueError as error:
        fail(str(error), Exit.USAGE)
    block = {"name": name, "public_key": signer.public_key, "courts": list(courts)}
    if officers:
        block["officers"] = list(officers)
    click.echo("\n".join(["[[key]]", *(f"{key} = {_toml(value)}" for key, value in block.items())]))


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # strings and lists of them are the same there


def _read(file: Path, read: Callable[[str], T]) -> T:
    try:
        return read(read_text(file))
    except ConfigError as error:
        fail("\n".join(f"{file}: {fault}" for fault in error.faults), Exit.USAGE)


def _identity(certificate: Path | None, names: Sequence[str], registry: Registry) -> Identity:
    if (certificate is None) == (not names):
        raise click.UsageError("name the caller: either --certificate FILE, or --as ROLE:NAME")
    if certificate is None:
        return _named(names)
    try:
        own = read_chain(certificate.read_bytes())[0]
        return identity_of(own.uris, own.fingerprint, registry, dns_names=own.dns_names)
    except (OSError, ValueError, IndexError):
        fail(f"{certificate}: has no certificate in PEM", Exit.USAGE)
    except UnauthenticatedError as error:
        fail(f"{certificate}: {error}", Exit.REFUSED)


def _named(names: Sequence[str]) -> Identity:
    identity = Identity()
    for one in names:
        role, _, name = one.partition(":")
        try:
            identity = identity.joined(named(role, name))
        except ValueError:
            msg = f"{one!r} must be one of {', '.join(ROLES)}, a colon and a name, such as court:京0101"
            raise click.BadParameter(msg, param_hint="--as") from None
    return identity


def _asked(
    *, method: str, code: str | None, officer: str, kinds: Sequence[str], regions: Sequence[str], lookups: Sequence[str]
) -> Asked:
    court = _court(code)
    if method != INVESTIGATE:
        return Asked(method=method, court=court)
    if court is None:
        raise click.UsageError(f"{INVESTIGATE} needs the --court of the request")
    return Asked(
        method=method,
        court=court,
        officer=officer,
        kinds=frozenset(_KINDS[kind] for kind in kinds) or ALL_KINDS,
        regions=frozenset(map(_region, regions)) or frozenset({None, court.region}),
        persons="person" in (lookups or _LOOKUPS),
        properties="property" in (lookups or _LOOKUPS),
    )


def _court(code: str | None) -> Court | None:
    try:
        return None if code is None else parse_court(code)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--court") from None


def _region(text: str) -> str | None:
    region = court_region(text)
    if region is None and text != NATIONAL:
        raise click.BadParameter(f"must be {NATIONAL}, or a region such as 京", param_hint="--region")
    return region


Findings = Sequence[tuple[str, Refusal | None]]


def _as_json(identity: Identity, asked: Asked, decision: Decision, findings: Findings) -> str:
    return json.dumps(
        {
            "caller": _caller(identity),
            "request": _request(asked),
            "allowed": decision.allowed,
            "rule": decision.rule,
            "field": decision.field,
            "message": decision.message,
            "signature_required": decision.signature_required,
            "quotas": _quotas(decision),
            "rules": [
                {"rule": rule, "allows": refusal is None, "field": refusal.field, "reason": refusal.reason}
                if refusal
                else {"rule": rule, "allows": True}
                for rule, refusal in findings
            ],
        },
        ensure_ascii=False,
    )


def _as_text(identity: Identity, asked: Asked, decision: Decision, findings: Findings) -> str:
    lines = [f"{'caller':10} {_joined(_caller(identity))}", f"{'request':10} {_joined(_request(asked))}"]
    if decision.allowed:
        quotas = ", ".join(f"{name} {limit}" for name, limit in _quotas(decision).items()) or "none"
        signature = "required" if decision.signature_required else "optional"
        lines.append(f"{'allowed':10} by rule {decision.rule!r}; signature: {signature}; quotas: {quotas}")
    else:
        lines.append(f"{'refused':10} {decision.message}")
    lines += [
        f"{'' if number else 'rules':10} {rule!r}: {f'{refusal.field}: {refusal.reason}' if refusal else 'allows it'}"
        for number, (rule, refusal) in enumerate(findings)
    ]
    return "\n".join(lines)


def _caller(identity: Identity) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(identity).items()}


def _request(asked: Asked) -> dict[str, Any]:
    return {
        "method": asked.method,
        "court": asked.court.code if asked.court else "",
        "officer": asked.officer or "",
        "kinds": sorted(kind.name.lower() for kind in asked.kinds),
        "regions": sorted(region or NATIONAL for region in asked.regions),
        "lookups": [name for name, has in zip(_LOOKUPS, (asked.persons, asked.properties), strict=True) if has],
    }


def _quotas(decision: Decision) -> dict[str, int]:
    return {name: limit for name, limit in asdict(decision.quotas).items() if limit is not None}


def _joined(described: dict[str, Any]) -> str:
    return "; ".join(
        f"{name}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in described.items()
        if value
    )
