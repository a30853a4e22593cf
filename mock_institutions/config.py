"""The configuration: TOML, typed, refused with file, key and reason when it is wrong."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mock_institutions.dialect import ITEMS_PREPARED
from mock_institutions.faults import Faults
from mock_institutions.records import Kind
from mock_institutions.registry import Institution

LAST_PORT = 65535


class ConfigError(Exception):
    """The configuration is wrong: the message names file, key and reason."""


class InstitutionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One institution. default.toml explains every key."""

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    name: str = ""
    kind: Kind
    region: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=LAST_PORT)] = 0
    hit_rate: Annotated[float, Meta(ge=0, le=1)] = 0.30
    batch_size: Annotated[int, Meta(ge=1, le=ITEMS_PREPARED)] = 500
    concurrency: Annotated[int, Meta(ge=1)] = 16
    rate: Annotated[float, Meta(gt=0)] = 1_000_000.0
    gzip_above: Annotated[int, Meta(ge=0)] = 0
    lifetime: Annotated[float, Meta(gt=0)] = 3600.0
    count_duplicates: bool = True
    faults: Faults = Faults()

    @property
    def institution(self) -> Institution:
        """What the population needs to know."""
        return Institution(self.id, self.kind, self.hit_rate)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All institutions of one process, over one population."""

    seed: int = 1
    institutions: Annotated[tuple[InstitutionConfig, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _refuse_repeated("id", [institution.id for institution in self.institutions])
        addresses = [f"{each.host}:{each.port}" for each in self.institutions if each.port]
        _refuse_repeated("port", addresses)

    def find(self, institution_id: str) -> InstitutionConfig:
        """The institution with that id; raises KeyError."""
        for institution in self.institutions:
            if institution.id == institution_id:
                return institution
        raise KeyError(institution_id)

    def with_ports_from(self, base: int) -> "Config":
        """The same, on consecutive ports from `base`; any free ports if it is 0."""
        placed = [
            replace(institution, port=base and base + place) for place, institution in enumerate(self.institutions)
        ]
        return self._with(placed)

    def with_banks(self, count: int) -> "Config":
        """The same with `count` banks more, like the first bank, on the ports after the last one in use."""
        if not count:
            return self
        first = next(
            (each for each in self.institutions if each.kind == "bank"), InstitutionConfig(id="x", kind="bank")
        )
        after = max(institution.port for institution in self.institutions)
        banks = [
            replace(first, id=f"mock-bank-{place:03d}", name=f"Mock Bank {place:03d}", port=after and after + place)
            for place in range(1, count + 1)
        ]
        return self._with([*self.institutions, *banks])

    def _with(self, institutions: list[InstitutionConfig]) -> "Config":
        if max(institution.port for institution in institutions) > LAST_PORT:
            raise ConfigError(f"not enough ports: {len(institutions)} institutions would go beyond {LAST_PORT}")
        return replace(self, institutions=tuple(institutions))


def _refuse_repeated(key: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"two institutions have the {key} {value}")


def load(path: Path | None = None) -> Config:
    """The configuration in a file; the embedded default without one. Raises ConfigError."""
    try:
        text = path.read_bytes() if path else (files("mock_institutions") / "default.toml").read_bytes()
        return msgspec.toml.decode(text, type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `")
        raise ConfigError(f"{path}: {place.removesuffix('`') or '$'}: {reason}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
