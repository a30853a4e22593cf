"""Reads a policy: its blocks [[rule]] and [[key]]. Every fault is found at once, each with its key and a remedy."""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from broker.access.key_block import KeyBlock
from broker.access.policy import Policy
from broker.access.rule_block import RuleBlock
from broker.access.signed_request import encoded_key
from broker.errors import ConfigError
from broker.sections import ConfigFault, Section, read_section

_BLOCKS = ("rule", "key")

S = TypeVar("S", bound=Section)


def read_policy(text: str) -> Policy:
    """The policy in a TOML file. Raises `ConfigError` with all faults, each with key and reason."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"cannot be read as TOML: {error}"
        raise ConfigError(msg) from None
    faults = [ConfigFault(key, "is no key: known are [[rule]] and [[key]]") for key in content if key not in _BLOCKS]
    rules = [block.rule() for block in _read("rule", content, RuleBlock, faults)]
    keys = [block.key() for block in _read("key", content, KeyBlock, faults)]
    if not content.get("rule"):
        faults.append(ConfigFault("rule", "at least one [[rule]] block is needed, or everybody would be refused"))
    if not content.get("key") and any(rule.signature_required for rule in rules):
        faults.append(ConfigFault("key", "a rule requires signatures, but there is no [[key]] to sign with"))
    faults += _doubled("rule.name", (rule.name for rule in rules))
    faults += _doubled("key.name", (key.name for key in keys))
    faults += _doubled("key.public_key", (encoded_key(key.public) for key in keys))
    if faults:
        raise ConfigError(*(f"{key}: {reason}" for key, reason in faults))
    return Policy(rules, keys)


def _read(name: str, content: dict[str, Any], kind: type[S], faults: list[ConfigFault]) -> Iterator[S]:
    """The blocks of a name that have no fault."""
    blocks = content.get(name, [])
    if not isinstance(blocks, list):
        faults.append(ConfigFault(name, f"must be blocks [[{name}]]"))
        return
    for number, written in enumerate(blocks, start=1):
        called = written.get("name", "?") if isinstance(written, dict) else "?"
        block, wrong = read_section(f"{name} {number} ({called})", written, kind)
        faults += wrong
        if block is not None:
            yield block


def _doubled(key: str, values: Iterable[str]) -> Iterator[ConfigFault]:
    for value in sorted(value for value, count in Counter(values).items() if count > 1):
        yield ConfigFault(key, f"{value!r} is given twice: the two could not be told apart")
