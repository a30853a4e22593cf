"""The files that [access] names: the policy, and the registry of certificates. Read at the start, and at a reload.

Copies of what was accepted are kept beside the quotas, and workers read these. So a worker that follows one that
crashed has the policy of the others, whatever is being written to the operator's files meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from broker.access.identity import EMPTY_REGISTRY, Registry
from broker.access.policy import Policy
from broker.access.policy_file import read_policy
from broker.access.registry import read_registry
from broker.access_section import AccessConfig
from broker.errors import ConfigError
from broker.private_file import PrivateFileError, make_private, replace_private

T = TypeVar("T")

_READERS: dict[str, Callable[[str], object]] = {"policy": read_policy, "registry": read_registry}


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


def keep_accepted(access: AccessConfig) -> AccessConfig:
    """Keeps copies of what the files say now, if it is valid; the section that names the copies.

    Raises `ConfigError` with all faults, by key of the configuration.
    """
    if not access.policy:
        return access
    texts: dict[str, str] = {}
    faults: list[str] = []
    for key, read in _READERS.items():
        path = getattr(access, key)
        _read(f"access.{key}", path, partial(_noted, texts, key, read), faults)
    if faults:
        raise ConfigError(*faults)
    folder = Path(access.quotas)
    copies = {key: folder / f"{key}-in-force.toml" for key in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for key, copy in copies.items():
            write = replace_private if copy.exists() else make_private
            write(copy, texts[key].encode())
    except (OSError, PrivateFileError) as error:
        msg = f"access.quotas: {folder}: cannot be written to: {error}"
        raise ConfigError(msg) from None
    return replace(access, **{key: str(copy) for key, copy in copies.items()})


def _noted(texts: dict[str, str], key: str, read: Callable[[str], object], text: str) -> None:
    """Takes note of a text that can be read."""
    read(text)
    texts[key] = text


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
