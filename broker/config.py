"""Reads the configuration, and finds everything that is wrong in it, with file, key and reason.

default.toml, beside this module, documents every key; it is also what holds when no file is given.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from broker.access_section import AccessConfig
from broker.audit_section import AuditConfig
from broker.core.control.share import max_workers
from broker.core.subjects.case_number import ENFORCEMENT, CaseNumbering
from broker.core.subjects.court import parse_court
from broker.errors import ConfigError
from broker.institution_block import InstitutionBlock
from broker.model import InstitutionSpec
from broker.sections import ConfigFault, Section, positive, read_section
from broker.tls_section import TlsConfig, plain_text_fault

DEFAULT = Path(__file__).with_name("default.toml")
_SIGN = re.compile("[\u4e00-\u9fff]{1,8}")
_CASE_TYPE = re.compile("(?=.*执)[\u4e00-\u9fff]{1,6}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):(\d{1,5})")
_LAST_PORT = 65_535
_AGE_SPREAD = 1.1  # gRPC closes connections when they are up to a tenth younger or older than their maximum age
_ROUND_TRIP = 1.0  # s; a connection takes new calls until the caller has acknowledged that it is to leave

_SECTIONS = ("server", "tls", "access", "audit", "store", "courts", "institution")
_MOST_WORKERS = 256  # more than any host has cores for

Overrides = Mapping[str, Mapping[str, object]]
"""What the command line says instead of the file: values by section and key."""
S = TypeVar("S", bound=Section)


def _address(text: str) -> str | None:
    match = _ADDRESS.fullmatch(text)
    if match and int(match[2]) <= _LAST_PORT:
        return None
    return f"must be host:port, such as 127.0.0.1:50051, with a port up to {_LAST_PORT}; port 0 takes any free one"


def _worker_count(count: int) -> str | None:
    return None if 0 <= count <= _MOST_WORKERS else f"must be 1 to {_MOST_WORKERS}, or 0 for one per core"


def _signs(signs: dict[str, str | list[str]]) -> str | None:
    if not all(_SIGN.fullmatch(sign) and "执" not in sign for sign in signs):
        return "must have as keys 1 to 8 Chinese characters that stand before the type of case"
    if not all(_is_court(code) for codes in signs.values() for code in _listed(codes)):
        return "must have courts' codes as values, such as 皖0111"
    return None


def _case_types(types: list[str]) -> str | None:
    return None if all(map(_CASE_TYPE.fullmatch, types)) else "must be 1 to 6 Chinese characters with 执 among them"


class ServerConfig(Section, frozen=True, kw_only=True):
    """Where and how much to serve. Durations in seconds."""

    listen: Annotated[str, _address] = "127.0.0.1:50051"
    metrics: Annotated[str, _address] = "127.0.0.1:9464"
    workers: Annotated[int, _worker_count] = 0
    max_lookups: Annotated[int, positive] = 10_000
    max_message_bytes: Annotated[int, positive] = 4 * 1024 * 1024
    max_streams_per_connection: Annotated[int, positive] = 100
    max_connections: Annotated[int, positive] = 2_000
    max_inquiries_in_flight: Annotated[int, positive] = 1_000_000
    max_request_bytes_in_flight: Annotated[int, positive] = 64 * 1024 * 1024
    default_timeout: Annotated[float, positive] = 30.0
    max_timeout: Annotated[float, positive] = 600.0
    max_connection_age: Annotated[float, positive] = 5.0
    grace_period: Annotated[float, positive] = 30.0
    min_read_rate: Annotated[float, positive] = 65_536.0
    max_read_lag: Annotated[float, positive] = 30.0

    @property
    def longest_call(self) -> float:
        """How long a call may take: to bring the longest message at the lowest rate, and the longest stream."""
        return self.max_message_bytes / self.min_read_rate + self.max_timeout

    @property
    def leaving_period(self) -> float:
        """How long a worker that stops may have open connections on which new requests still come in."""
        return min(self.max_connection_age * _AGE_SPREAD + _ROUND_TRIP, self.grace_period)

    @property
    def drain_period(self) -> float:
        """How long a worker that stops takes until its last request has ended, at most."""
        return self.leaving_period + self.grace_period


class StoreConfig(Section, frozen=True, kw_only=True):
    """Where answers are kept."""

    path: str = "var/cache"
    key_file: str = "var/broker.key"
    map_size: Annotated[int, positive] = 16 * 1024**3


class CourtsConfig(Section, frozen=True, kw_only=True):
    """What the broker cannot know of the numbers of cases."""

    signs: Annotated[dict[str, str | list[str]], _signs] = {}  # noqa: RUF012 - msgspec copies it
    case_types: Annotated[list[str], _case_types] = []  # noqa: RUF012 - msgspec copies it

    def numbering(self) -> CaseNumbering:
        """The same in the broker's own words."""
        signs = {sign: frozenset(_listed(codes)) for sign, codes in self.signs.items()}
        return CaseNumbering(signs, ENFORCEMENT.union(self.case_types))


class Config(msgspec.Struct, frozen=True):
    """Everything the broker is told at start."""

    server: ServerConfig
    store: StoreConfig
    institutions: tuple[InstitutionSpec, ...]
    """Those that are enabled."""
    courts: CourtsConfig = CourtsConfig()
    tls: TlsConfig = TlsConfig()
    audit: AuditConfig = AuditConfig(path="")
    access: AccessConfig = AccessConfig()

    def workers(self, cores: int) -> int:
        """How many workers to run on so many cores.

        Each asks on its own, so there are no more than can share every institution (`core.control.share`). Raises
        `ConfigError` if more are asked for.
        """
        if reason := too_many_workers(self.server.workers, self.institutions):
            raise ConfigError(f"server.workers: {reason}")
        return worker_count(self.server, self.institutions, cores)


def worker_count(server: ServerConfig, institutions: Sequence[InstitutionSpec], cores: int) -> int:
    """How many workers are wanted: a number that was given, or one per core, if so many can share the institutions."""
    return server.workers or min([cores, *map(max_workers, institutions)])


def too_many_workers(count: int, institutions: Sequence[InstitutionSpec]) -> str | None:
    """Why so many workers cannot share these institutions; None if they can."""
    narrowest = min(institutions, key=max_workers)
    most = max_workers(narrowest)
    if count <= most:
        return None
    return (
        f"{count} workers would ask more of {narrowest.id} at a time than it takes (concurrency"
        f" {narrowest.concurrency}, rate {narrowest.rate:g}, batch_size {narrowest.batch_size}); lower it to {most}, or"
        f" raise these"
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration as far as it could be read: what is right in it, and the faults.

    In `server` and `store`, something harmless stands in for values that are wrong, so that the others can be checked.
    """

    server: ServerConfig | None
    store: StoreConfig | None
    courts: CourtsConfig | None
    tls: TlsConfig | None
    audit: AuditConfig | None
    access: AccessConfig | None
    institutions: tuple[InstitutionSpec, ...]
    """Those without a fault that are enabled."""
    faults: tuple[str, ...]
    """What is wrong, each with file, key and reason."""
    located: Callable[[ConfigFault], str]
    """A further fault with the file it is in, or the command line."""

    def config(self) -> Config:
        """The whole configuration. Raises `ConfigError` with all faults."""
        server, store, courts = self.server, self.store, self.courts
        tls, access, audit = self.tls, self.access, self.audit
        if self.faults or server is None or store is None or courts is None:
            raise ConfigError(*self.faults)
        if tls is None or access is None or audit is None:
            raise ConfigError(*self.faults)
        return Config(server, store, self.institutions, courts, tls, audit, access)


def _unguarded(tls: TlsConfig, access: AccessConfig, audit: AuditConfig) -> Iterator[ConfigFault]:
    """What must not be left out once other hosts can reach the broker."""
    if tls.is_on and not access.policy:
        reason = "is needed with TLS: without it, whoever has a certificate may ask everything (docs/policy.md)"
        yield ConfigFault("access.policy", reason)
    if tls.is_on and not audit.path:
        yield ConfigFault("audit.path", "is needed with TLS: without it, nobody can tell who asked about whom")


def load(path: Path | None = None, *, dialects: frozenset[str], overrides: Overrides | None = None) -> Config:
    """The configuration in a file; without one, the defaults.

    Raises `ConfigError` with all faults, each with file, key and reason. `dialects`: those there are.
    """
    return draft(path, dialects=dialects, overrides=overrides).config()


def draft(path: Path | None = None, *, dialects: frozenset[str], overrides: Overrides | None = None) -> Draft:
    """What a file says, and what is wrong with it. Raises `ConfigError` if it cannot be read at all."""
    path = path or DEFAULT
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors begin files with a BOM
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: cannot be read as TOML in UTF-8: {error}"
        raise ConfigError(msg) from error
    return _FileReader(path, content, overrides or {}).draft(dialects)


class _FileReader:
    """One file being read. State: what was found to be wrong."""

    def __init__(self, path: Path, content: dict[str, Any], overrides: Overrides) -> None:
        self._path = path
        self._content = content
        self._overrides = overrides
        self._faults: list[str] = []

    def draft(self, dialects: frozenset[str]) -> Draft:
        for key in sorted(set(self._content).difference(_SECTIONS)):
            self._note(ConfigFault(key, f"is no key: known are {', '.join(_SECTIONS[:-1])} and [[institution]]"))
        server = self._section("server", ServerConfig)
        store = self._section("store", StoreConfig)
        courts = self._section("courts", CourtsConfig)
        tls = self._section("tls", TlsConfig)
        audit = self._section("audit", AuditConfig)
        access = self._section("access", AccessConfig)
        if server and tls and (fault := plain_text_fault(tls, server.listen)):
            self._note(fault)
        if tls and access and audit:
            for fault in _unguarded(tls, access, audit):
                self._note(fault)
        institutions = tuple(self._institutions(dialects))
        return Draft(server, store, courts, tls, audit, access, institutions, tuple(self._faults), self._located)

    def _section(self, name: str, kind: type[S]) -> S | None:
        content = self._content.get(name, {})
        if isinstance(content, dict):
            content = {**content, **self._overrides.get(name, {})}
        section = self._read(name, content, kind)
        if section is None and isinstance(content, dict):
            section = _right_part(name, content, kind)
        return section

    def _institutions(self, dialects: frozenset[str]) -> Iterator[InstitutionSpec]:
        blocks = self._content.get("institution", [])
        if not isinstance(blocks, list) or not blocks:
            self._note(ConfigFault("institution", "at least one [[institution]] block is needed"))
            return
        for number, block in enumerate(blocks, start=1):
            written = self._institution(block, number, dialects)
            if written is not None and written.enabled:
                yield written.spec()
        ids = [str(block["id"]) for block in blocks if isinstance(block, dict) and "id" in block]
        for doubled in sorted({one for one in ids if ids.count(one) > 1}):
            self._note(ConfigFault("institution.id", f"{doubled} is given twice"))
        if all(isinstance(block, dict) and block.get("enabled") is False for block in blocks):
            self._note(ConfigFault("institution.enabled", "at least one institution has to be enabled"))

    def _institution(self, block: object, number: int, dialects: frozenset[str]) -> InstitutionBlock | None:
        name = block.get("id", "?") if isinstance(block, dict) else "?"
        where = f"institution {number} ({name})"
        if isinstance(block, dict) and (dialect := block.get("dialect", "json")) not in dialects:
            self._note(ConfigFault(f"{where}.dialect", f"{dialect!r} is none of {', '.join(sorted(dialects))}"))
        return self._read(where, block, InstitutionBlock)

    def _read(self, where: str, content: object, kind: type[S]) -> S | None:
        section, faults = read_section(where, content, kind)
        for fault in faults:
            self._note(fault)
        return section

    def _note(self, fault: ConfigFault) -> None:
        self._faults.append(self._located(fault))

    def _located(self, fault: ConfigFault) -> str:
        section, _, key = fault.key.partition(".")
        place = "command line" if key in self._overrides.get(section, {}) else str(self._path)
        return f"{place}: {fault.key}: {fault.reason}"


_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "server": {"listen": "127.0.0.1:0", "metrics": "127.0.0.1:0", "workers": 1},
    "store": {"path": ""},
}
"""What causes no further fault, by section and key. For the other keys of these sections, the defaults do."""


def _right_part(name: str, content: dict[str, Any], kind: type[S]) -> S | None:
    """What is right in a section that has faults; None if its values cannot be told apart."""
    if name not in _STAND_INS:
        return None
    _, faults = read_section(name, content, kind)
    wrong = {fault.key.removeprefix(f"{name}.") for fault in faults}
    stand_ins = {key: value for key, value in _STAND_INS[name].items() if key in wrong}
    right = {key: value for key, value in content.items() if key not in wrong}
    return read_section(name, {**right, **stand_ins}, kind)[0]


def _listed(codes: str | list[str]) -> list[str]:
    return [codes] if isinstance(codes, str) else codes


def _is_court(code: str) -> bool:
    try:
        return parse_court(code).code == code
    except ValueError:
        return False
