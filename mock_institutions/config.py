"""The configuration: typed TOML. Errors name file, key and reason."""

from collections import Counter
from importlib.resources import files
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from typing import Annotated, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mock_institutions.dialect import ITEMS_PREPARED
from mock_institutions.faults import Faults
from mock_institutions.records import Kind
from mock_institutions.registry import Institution, NameRule

LAST_PORT = 65535


class ConfigError(Exception):
    """The configuration is invalid. The message names file, key and reason."""


class InstitutionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One institution. default.toml explains every key."""

    id: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
    name: str = ""
    kind: Kind
    region: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=LAST_PORT)] = 0
    hit_rate: Annotated[float, Meta(ge=0, le=1)] = 0.30
    names: NameRule = "refuse"
    batch_size: Annotated[int, Meta(ge=1, le=ITEMS_PREPARED)] = 500
    concurrency: Annotated[int, Meta(ge=1)] = 16
    rate: Annotated[float, Meta(gt=0)] = 1_000_000.0
    gzip_above: Annotated[int, Meta(ge=0)] = 0
    lifetime: Annotated[float, Meta(gt=0)] = 3600.0
    count_duplicates: bool = True
    faults: Faults = Faults()

    @property
    def institution(self) -> Institution:
        """The institution as the population knows it."""
        return Institution(self.id, self.kind, self.hit_rate, self.names)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All institutions of one process. They share one population."""

    seed: int = 1
    one_address: bool = False
    """Whether all institutions listen at the address of the first one, each below the path /id."""
    institutions: Annotated[tuple[InstitutionConfig, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _refuse_repeated("id", [institution.id for institution in self.institutions])
        if not self.one_address:
            _refuse_repeated("port", [f"{each.host}:{each.port}" for each in self.institutions if each.port])

    def find(self, institution_id: str) -> InstitutionConfig:
        """The institution with this id. Raises KeyError."""
        for institution in self.institutions:
            if institution.id == institution_id:
                return institution
        raise KeyError(institution_id)

    def with_ports_from(self, base: int) -> "Config":
        """A copy with consecutive ports from `base`, or any free ports if it is 0."""
        step = 0 if self.one_address else 1
        placed = [
            replace(institution, port=base and base + index * step)
            for index, institution in enumerate(self.institutions)
        ]
        return self._with(placed)

    def with_banks(self, count: int) -> "Config":
        """A copy with `count` additional banks like the first one, on the ports after the last one in use."""
        if not count:
            return self
        first = next(
            (each for each in self.institutions if each.kind == "bank"), InstitutionConfig(id="x", kind="bank")
        )
        after = max(institution.port for institution in self.institutions)
        banks = [
            replace(first, id=f"mock-bank-{number:03d}", name=f"Mock Bank {number:03d}", port=after and after + number)
            for number in range(1, count + 1)
        ]
        return self._with([*self.institutions, *banks])

    def with_national(self, count: int) -> "Config":
        """A copy with `count` national institutions instead, at one address. The four kinds take turns.

        Each is like the first one of its kind, except for its id, such as mock-bank-0005, where 5 is its number.
        """
        if not count:
            return self
        kinds = get_args(Kind)
        first = {
            kind: next((each for each in self.institutions if each.kind == kind), InstitutionConfig(id="x", kind=kind))
            for kind in kinds
        }
        national = []
        for number, kind in zip(range(1, count + 1), cycle(kinds)):
            words = kind.replace("_", " ").title()
            changes = {"id": f"mock-{kind.replace('_', '-')}-{number:04d}", "name": f"Mock {words} {number:04d}"}
            national.append(
                replace(
                    first[kind], **changes, region="", host=self.institutions[0].host, port=self.institutions[0].port
                )
            )
        return replace(self, one_address=True, institutions=tuple(national))

    def _with(self, institutions: list[InstitutionConfig]) -> "Config":
        if max(institution.port for institution in institutions) > LAST_PORT:
            raise ConfigError(f"not enough ports: {len(institutions)} institutions would need ports above {LAST_PORT}")
        return replace(self, institutions=tuple(institutions))


def _refuse_repeated(key: str, values: list[str]) -> None:
    value, times = max(Counter(values).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise ValueError(f"two institutions have the {key} {value}")


def load(path: Path | None = None) -> Config:
    """Loads the configuration from a file; by default, the embedded one. Raises ConfigError."""
    try:
        text = path.read_bytes() if path else (files("mock_institutions") / "default.toml").read_bytes()
        return msgspec.toml.decode(text, type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        reason, _, key = str(error).partition(" - at `")
        raise ConfigError(f"{path}: {key.removesuffix('`') or '$'}: {reason}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
