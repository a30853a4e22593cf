"""Reads the registry: whom names and fingerprints of certificates stand for, if certificates do not say it themselves.

    [[certificate]]
    names = ["spiffe://courts.example/gateway-7", "gateway.court.example"]
    fingerprints = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]
    courts = ["京0101", "京0102"]
    institutions = []
    operators = []

A block gives whoever presents one of the names or fingerprints all of its courts, institutions and operators.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Annotated

from broker.access.identity import COURT, INSTITUTION, OPERATOR, SCHEME, Identity, Registry, named
from broker.access.text_checks import Check
from broker.errors import ConfigError
from broker.sections import ConfigFault, Section, read_section

_BLOCK = "certificate"
_FINGERPRINT = re.compile("[0-9a-f]{64}")


def _names_of(role: str) -> Check:
    def rule(names: list[str]) -> str | None:
        return "; ".join(filter(None, (_refusal(role, name) for name in names))) or None

    return rule


def _refusal(role: str, name: str) -> str | None:
    try:
        named(role, name)
    except ValueError as error:
        return f"{name!r}: {error}"
    return None


def _foreign(names: list[str]) -> str | None:
    own = [name for name in names if name.lower().startswith(SCHEME)]
    if own:
        return f"{own[0]}: a name that begins with {SCHEME} speaks for itself, and cannot be given another meaning"
    return None if all(names) else "must not be empty"


def fingerprint_fault(texts: list[str]) -> str | None:
    """A rule for lists of fingerprints."""
    wrong = [text for text in texts if not _FINGERPRINT.fullmatch(plain_fingerprint(text))]
    if wrong:
        return f"{wrong[0]!r} is no SHA-256 in hexadecimal, such as `broker certs show` prints"
    return None


class _Block(Section, frozen=True, kw_only=True):
    names: Annotated[list[str], _foreign] = []  # noqa: RUF012 - msgspec copies it
    fingerprints: Annotated[list[str], fingerprint_fault] = []  # noqa: RUF012
    courts: Annotated[list[str], _names_of(COURT)] = []  # noqa: RUF012
    institutions: Annotated[list[str], _names_of(INSTITUTION)] = []  # noqa: RUF012
    operators: Annotated[list[str], _names_of(OPERATOR)] = []  # noqa: RUF012

    def conflicts(self) -> Iterator[ConfigFault]:
        """See `Section`."""
        if not (self.names or self.fingerprints):
            yield ConfigFault("names", "a name or a fingerprint is needed: the block stands for no certificate")
        if self.identity().is_nobody:
            yield ConfigFault("courts", "a court, institution or operator is needed: the block gives nothing")

    def identity(self) -> Identity:
        return Identity(frozenset(self.courts), frozenset(self.institutions), frozenset(self.operators))


def read_registry(text: str) -> Registry:
    """The registry in a TOML file. Raises `ConfigError` with all faults, each with key and reason."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"cannot be read as TOML: {error}"
        raise ConfigError(msg) from None
    faults = [ConfigFault(key, f"is no key: known is [[{_BLOCK}]]") for key in content if key != _BLOCK]
    written = content.get(_BLOCK, [])
    if not isinstance(written, list):
        faults.append(ConfigFault(_BLOCK, f"must be blocks [[{_BLOCK}]]"))
        written = []
    blocks = []
    for number, one in enumerate(written, start=1):
        block, wrong = read_section(f"{_BLOCK} {number}", one, _Block)
        faults += wrong
        if block is not None:
            blocks.append(block)
    if faults:
        raise ConfigError(*(f"{key}: {reason}" for key, reason in faults))
    return Registry(
        _by_key((_plain_name(name), block) for block in blocks for name in block.names),
        _by_key((plain_fingerprint(text), block) for block in blocks for text in block.fingerprints),
    )


def _by_key(pairs: Iterable[tuple[str, _Block]]) -> dict[str, Identity]:
    found: dict[str, list[Identity]] = {}
    for key, block in pairs:
        found.setdefault(key, []).append(block.identity())
    return {key: reduce(Identity.joined, identities) for key, identities in found.items()}


def _plain_name(name: str) -> str:
    """URIs as they are written, DNS names in lower case."""
    return name if ":" in name else name.lower()


def plain_fingerprint(text: str) -> str:
    """A fingerprint as openssl prints it (AB:CD:…), or in another usual way, in plain hexadecimal."""
    return text.replace(":", "").strip().lower()
