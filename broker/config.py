"""Reads the configuration, and refuses what is wrong in it with file, key and reason.

default.toml, beside this module, documents every key; it is also what holds when no file is given.
"""

import re
import tomllib
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from broker.core.control.share import max_workers
from broker.core.subjects.case_number import ENFORCEMENT, CaseNumbering
from broker.core.subjects.court import PROVINCES, XPCC, parse_court
from broker.errors import ConfigError
from broker.model import InstitutionSpec, Kind

DEFAULT = Path(__file__).with_name("default.toml")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SIGN = re.compile("[\u4e00-\u9fff]{1,8}")
_CASE_TYPE = re.compile("(?=.*执)[\u4e00-\u9fff]{1,6}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):(\d{1,5})")
_LONGEST_LIFETIME = 10 * 365 * 86_400  # s; records keep moments in 32 bits, which suffice until 2106
_AGE_SPREAD = 1.1  # gRPC closes connections when they are up to a tenth younger or older than their maximum age
_ROUND_TRIP = 1.0  # s; a connection takes new calls until the caller has acknowledged that it is to leave

_MOST_WORKERS = 256  # more than any host has cores for

T = TypeVar("T", bound=msgspec.Struct)


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where and how much to serve. Durations in seconds."""

    listen: str = "127.0.0.1:50051"
    metrics: str = "127.0.0.1:9464"
    workers: int = 0
    max_lookups: int = 10_000
    max_message_bytes: int = 4 * 1024 * 1024
    max_streams_per_connection: int = 100
    max_inquiries_in_flight: int = 1_000_000
    max_request_bytes_in_flight: int = 64 * 1024 * 1024
    default_timeout: float = 30.0
    max_timeout: float = 600.0
    max_connection_age: float = 5.0
    grace_period: float = 30.0
    min_read_rate: float = 65_536.0
    max_read_lag: float = 30.0

    def __post_init__(self) -> None:
        _require_address("listen", self.listen)
        _require_address("metrics", self.metrics)
        if not 0 <= self.workers <= _MOST_WORKERS:
            _refuse("workers", f"must be 1 to {_MOST_WORKERS}, or 0 for one per core")
        _require_positive(self, "max_lookups", "max_message_bytes", "max_streams_per_connection")
        _require_positive(self, "max_inquiries_in_flight", "max_request_bytes_in_flight")
        _require_positive(self, "default_timeout", "max_timeout", "max_connection_age", "grace_period")
        _require_positive(self, "min_read_rate", "max_read_lag")

    @property
    def leaving_period(self) -> float:
        """How long a worker that stops may have open connections on which new requests still come in."""
        return min(self.max_connection_age * _AGE_SPREAD + _ROUND_TRIP, self.grace_period)

    @property
    def drain_period(self) -> float:
        """How long a worker that stops takes until its last request has ended, at most."""
        return self.leaving_period + self.grace_period


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where answers are kept."""

    path: str = "var/cache"
    key_file: str = "var/broker.key"
    map_size: int = 16 * 1024**3

    def __post_init__(self) -> None:
        _require_positive(self, "map_size")


class CourtsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the broker cannot know of the numbers of cases."""

    signs: dict[str, str | list[str]] = {}
    case_types: list[str] = []

    def __post_init__(self) -> None:
        for sign, codes in self.signs.items():
            if not _SIGN.fullmatch(sign) or "执" in sign:
                _refuse("signs", "must have as keys 1 to 8 Chinese characters that stand before the type of case")
            for code in _listed(codes):
                _require_court("signs", code)
        if not all(map(_CASE_TYPE.fullmatch, self.case_types)):
            _refuse("case_types", "must be 1 to 6 Chinese characters with 执 among them")

    def numbering(self) -> CaseNumbering:
        """The same in the broker's own words."""
        signs = {sign: frozenset(_listed(codes)) for sign, codes in self.signs.items()}
        return CaseNumbering(signs, ENFORCEMENT.union(self.case_types))


class _InstitutionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One block of the registry, as written."""

    id: str
    name: str
    kind: Literal["bank", "vehicle", "securities", "real_estate"]
    url: str
    scope: Literal["national", "regional"] = "national"
    region: str | None = None
    dialect: str = "json"
    batch_size: int = 500
    concurrency: int = 8
    rate: float = 1000.0
    timeout: float = 10.0
    found_ttl: float = 3600.0
    not_found_ttl: float = 900.0
    names: Literal["exact", "folded"] = "exact"

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            _refuse("id", "must be 1 to 64 of a-z, 0-9, '.', '_', '-'")
        if (self.scope == "regional") != (self.region is not None):
            _refuse("region", 'goes with scope = "regional", and only with it')
        if self.region is not None and not _court_region(self.region):
            _refuse("region", f"must be one of {PROVINCES}{XPCC}, with which court codes begin, or 内, which is 蒙")
        _require_url("url", self.url)
        _require_positive(self, "batch_size", "concurrency", "rate", "timeout")
        for field in ("found_ttl", "not_found_ttl"):
            if not 0 <= getattr(self, field) <= _LONGEST_LIFETIME:
                _refuse(field, "must not be negative, nor over ten years")

    def spec(self) -> InstitutionSpec:
        """The block in the broker's own words."""
        values = msgspec.structs.asdict(self)
        del values["scope"]
        region = self.region and _court_region(self.region)
        return InstitutionSpec(**{**values, "kind": Kind[self.kind.upper()], "region": region})


class Config(msgspec.Struct, frozen=True):
    """Everything the broker is told at start."""

    server: ServerConfig
    store: StoreConfig
    institutions: tuple[InstitutionSpec, ...]
    courts: CourtsConfig = CourtsConfig()

    def workers(self, cores: int) -> int:
        """How many workers to run on so many cores.

        Each asks on its own, so there are no more than can share every institution (`core.control.share`). Raises
        `ConfigError` if more are asked for.
        """
        narrowest = min(self.institutions, key=max_workers)
        most = max_workers(narrowest)
        if self.server.workers > most:
            msg = (
                f"server.workers: {self.server.workers} workers would ask more of {narrowest.id} at a time than it"
                f" takes (concurrency {narrowest.concurrency}, rate {narrowest.rate:g}, batch_size"
                f" {narrowest.batch_size}); lower it to {most}, or raise these"
            )
            raise ConfigError(msg)
        return self.server.workers or min(cores, most)


def load(path: Path | None = None, *, dialects: frozenset[str]) -> Config:
    """The configuration in a file; without one, the defaults.

    Raises `ConfigError` naming file, key and reason. `dialects`: those there are.
    """
    path = path or DEFAULT
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise ConfigError(msg) from error
    return _FileReader(path, content).config(dialects)


class _FileReader:
    """One file being read: knows its name for messages."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self._path = path
        self._content = content

    def config(self, dialects: frozenset[str]) -> Config:
        if unknown := set(self._content) - {"server", "store", "courts", "institution"}:
            raise self._error(min(unknown), "is no key: known are server, store, courts and [[institution]]")
        blocks = self._content.get("institution", [])
        if not isinstance(blocks, list) or not blocks:
            raise self._error("institution", "at least one [[institution]] block is needed")
        institutions = [self._institution(block, number, dialects) for number, block in enumerate(blocks, start=1)]
        ids = [spec.id for spec in institutions]
        if doubled := {one for one in ids if ids.count(one) > 1}:
            raise self._error("institution.id", f"{min(doubled)} is given twice")
        return Config(
            server=self._section("server", ServerConfig),
            store=self._section("store", StoreConfig),
            courts=self._section("courts", CourtsConfig),
            institutions=tuple(institutions),
        )

    def _institution(self, block: object, number: int, dialects: frozenset[str]) -> InstitutionSpec:
        name = block.get("id", "?") if isinstance(block, dict) else "?"
        where = f"institution {number} ({name})"
        spec = self._convert(where, block, _InstitutionConfig).spec()
        if spec.dialect not in dialects:
            raise self._error(f"{where}.dialect", f"{spec.dialect!r} is none of {', '.join(sorted(dialects))}")
        return spec

    def _section(self, name: str, kind: type[T]) -> T:
        return self._convert(name, self._content.get(name, {}), kind)

    def _convert(self, where: str, value: object, kind: type[T]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            key = f"{where}{place.rstrip('`')}"
            raise self._error(key, reason) from None

    def _error(self, key: str, reason: str) -> ConfigError:
        return ConfigError(f"{self._path}: {key}: {reason}")


def _refuse(field: str, reason: str) -> None:
    msg = f"{field} {reason}"
    raise ValueError(msg)  # msgspec turns it into a ValidationError


def _require_positive(struct: msgspec.Struct, *fields: str) -> None:
    for field in fields:
        if not 0 < getattr(struct, field) < inf:
            _refuse(field, "must be positive and finite")


def _court_region(character: str) -> str | None:
    """The region of the courts whose codes begin with this character; None if there are none."""
    try:
        return parse_court(character).region if len(character) == 1 else None
    except ValueError:
        return None


def _listed(codes: str | list[str]) -> list[str]:
    return [codes] if isinstance(codes, str) else codes


def _require_court(field: str, code: str) -> None:
    try:
        exact = parse_court(code).code == code
    except ValueError:
        exact = False
    if not exact:
        _refuse(field, "must have courts' codes as values, such as 皖0111")


def _require_url(field: str, text: str) -> None:
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:  # brackets that do not match, or a port that is none
        usable = False
    if not usable:
        _refuse(field, "must be an http or https address")


def _require_address(field: str, text: str) -> None:
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[2]) > 65_535:
        _refuse(field, "must be host:port, such as 127.0.0.1:50051; port 0 takes any free one")
