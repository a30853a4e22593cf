"""The configuration: TOML, typed, refused with file, key and reason when it is wrong."""

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
    one_address: bool = False
    """All at the first one's address, each below a path that is its id, instead of each at its own."""
    institutions: Annotated[tuple[InstitutionConfig, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _refuse_repeated("id", [institution.id for institution in self.institutions])
        if not self.one_address:
            _refuse_repeated("port", [f"{each.host}:{each.port}" for each in self.institutions if each.port])

    def find(self, institution_id: str) -> InstitutionConfig:
        """The institution with that id; raises KeyError."""
        for institution in self.institutions:
            if institution.id == institution_id:
                return institution
        raise KeyError(institution_id)

    def with_ports_from(self, base: int) -> "Config":
        """The same, on consecutive ports from `base`; any free ports if it is 0."""
        step = 0 if self.one_address else 1
        placed = [
            replace(institution, port=base and base + place * step)
            for place, institution in enumerate(self.institutions)
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

    def with_national(self, count: int) -> "Config":
        """`count` institutions for the whole country instead of these, at one address: the four kinds in turn.

        Each is like the first one of its kind here but for its id, such as mock-bank-0005, where 5 is its place.
        """
        if not count:
            return self
        kinds = get_args(Kind)
        first = {
            kind: next((each for each in self.institutions if each.kind == kind), InstitutionConfig(id="x", kind=kind))
            for kind in kinds
        }
        national = []
        for place, kind in zip(range(1, count + 1), cycle(kinds)):
            words = kind.replace("_", " ").title()
            changes = {"id": f"mock-{kind.replace('_', '-')}-{place:04d}", "name": f"Mock {words} {place:04d}"}
            national.append(
                replace(
                    first[kind], **changes, region="", host=self.institutions[0].host, port=self.institutions[0].port
                )
            )
        return replace(self, one_address=True, institutions=tuple(national))

    def _with(self, institutions: list[InstitutionConfig]) -> "Config":
        if max(institution.port for institution in institutions) > LAST_PORT:
            raise ConfigError(f"not enough ports: {len(institutions)} institutions would go beyond {LAST_PORT}")
        return replace(self, institutions=tuple(institutions))


def _refuse_repeated(key: str, values: list[str]) -> None:
    value, times = max(Counter(values).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
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
