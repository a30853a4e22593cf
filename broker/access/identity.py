"""Whom a certificate names: courts, institutions and operators, by its subject alternative names and the registry.

Rules

1. A URI of the scheme `broker:` names somebody: `broker:court:%E6%B2%AA0101`, `broker:institution:mock-bank` or
   `broker:operator:name`. The name is percent-encoded UTF-8, because certificates hold URIs in ASCII. A certificate may
   have several: a gateway speaks for several courts.
2. Other URIs, DNS names and the fingerprints of certificates name whomever the registry says, and otherwise nobody.
3. A `broker:` URI that cannot be read refuses the certificate as a whole: a misspelt court must not go unnoticed.
4. A certificate that names nobody is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from broker.core.subjects.court import parse_court
from broker.errors import UnauthenticatedError

SCHEME = "broker:"
COURT, INSTITUTION, OPERATOR = ROLES = ("court", "institution", "operator")
_INSTITUTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LONGEST_NAME = 64  # characters of an operator's name
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a certificate names, and the SHA-256 of the certificate's DER in hexadecimal; "" without one."""

    courts: frozenset[str] = frozenset()
    institutions: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()
    fingerprint: str = ""

    @property
    def is_nobody(self) -> bool:
        """Whether no name is given."""
        return not (self.courts or self.institutions or self.operators)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(sorted(self.courts | self.operators | self.institutions))

    def joined(self, other: "Identity") -> "Identity":
        """Both identities' names, and the fingerprint of this one."""
        return Identity(
            self.courts | other.courts,
            self.institutions | other.institutions,
            self.operators | other.operators,
            self.fingerprint,
        )


ANONYMOUS = Identity()
"""A caller over plain text: nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Names of certificates that do not name courts, institutions or operators themselves."""

    names: Mapping[str, Identity] = field(default_factory=dict)
    """By URI or DNS name, the latter in lower case."""
    fingerprints: Mapping[str, Identity] = field(default_factory=dict)
    """By fingerprint of the certificate."""


EMPTY_REGISTRY = Registry()


def identity_of(
    uris: Iterable[str], fingerprint: str, registry: Registry = EMPTY_REGISTRY, *, dns_names: Iterable[str] = ()
) -> Identity:
    """Whom a certificate names. Raises `UnauthenticatedError` if it names nobody, or cannot be read."""
    identity = Identity(fingerprint=fingerprint)
    for uri in uris:
        own = uri[: len(SCHEME)].lower() == SCHEME
        identity = identity.joined(_read_uri(uri) if own else registry.names.get(uri, ANONYMOUS))
    for name in dns_names:
        identity = identity.joined(registry.names.get(name.lower(), ANONYMOUS))
    identity = identity.joined(registry.fingerprints.get(fingerprint, ANONYMOUS))
    if identity.is_nobody:
        raise UnauthenticatedError(
            "NAMES_NOBODY",
            "the certificate names no court, institution or operator: it needs a URI such as"
            f" {uri_of(COURT, '京0101')} among its subject alternative names, or an entry in the broker's registry",
        )
    return identity


def _read_uri(uri: str) -> Identity:
    role, _, encoded = uri[len(SCHEME) :].partition(":")
    try:
        return named(role, _decoded(encoded))
    except ValueError as error:
        raise UnauthenticatedError("BAD_NAME", f"the certificate's name {uri[:200]!a} is refused: {error}") from None


def _decoded(encoded: str) -> str:
    if not _ESCAPES.fullmatch(encoded):
        msg = "% must be followed by two hexadecimal digits"
        raise ValueError(msg)
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        msg = "it must be percent-encoded UTF-8"
        raise ValueError(msg) from None


def named(role: str, name: str) -> Identity:
    """The identity that has one name, in plain characters. Raises `ValueError` with what would be right."""
    match role:
        case "court":
            if parse_court(name).code != name:
                msg = f"a court's code is written {parse_court(name).code}"
                raise ValueError(msg)
            return Identity(courts=frozenset({name}))
        case "institution":
            if not _INSTITUTION.fullmatch(name):
                msg = "an institution's id has 1 to 64 of a-z, 0-9, '.', '_', '-'"
                raise ValueError(msg)
            return Identity(institutions=frozenset({name}))
        case "operator":
            if not (name.isprintable() and name == name.strip() and 1 <= len(name) <= _LONGEST_NAME):
                msg = f"an operator's name has 1 to {_LONGEST_NAME} printable characters, without blanks at its ends"
                raise ValueError(msg)
            return Identity(operators=frozenset({name}))
        case _:
            msg = f"the part after {SCHEME} must be one of {', '.join(ROLES)}"
            raise ValueError(msg)


def uri_of(role: str, name: str) -> str:
    """The URI that names somebody in a certificate."""
    return f"{SCHEME}{role}:{quote(name, safe='')}"
