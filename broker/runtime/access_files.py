"""The files that [access] names: the policy, and the registry of certificates. Read at the start, and at a reload."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from broker.access.identity import EMPTY_REGISTRY, Registry
from broker.access.policy import Policy
from broker.access.policy_file import read_policy
from broker.access.registry import read_registry
from broker.access_section import AccessConfig
from broker.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccessFiles:
    """What they say."""

    policy: Policy | None
    """None without a policy: everybody may ask everything."""
    registry: Registry


def read_access_files(access: AccessConfig) -> AccessFiles:
    """Raises `ConfigError` with all faults: the key in [access], the file, and what is wrong in it."""
    faults: list[str] = []
    policy = _read("policy", access.policy, read_policy, faults)
    registry = _read("registry", access.registry, read_registry, faults)
    if faults:
        raise ConfigError(*faults)
    return AccessFiles(policy, registry or EMPTY_REGISTRY)


def _read(key: str, path: str, read: Callable[[str], T], faults: list[str]) -> T | None:
    if not path:
        return None
    try:
        return read(read_text(Path(path)))
    except ConfigError as error:
        faults += [f"{key}: {path}: {fault}" for fault in error.faults]
        return None


def read_text(path: Path) -> str:
    """The content of a file. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors begin files with a BOM
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError("cannot be read: it is not in UTF-8") from None
