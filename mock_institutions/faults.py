"""Fault settings: which faults occur, how often, and how slow replies are. Pure: `misbehaviour` performs the faults.

Each call draws at most one fault from a seeded generator, so that runs are reproducible.
"""

import math
from random import Random
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]

FaultKind = Literal[
    "error",
    "unavailable",
    "hang",
    "reset",
    "garbage",
    "truncated",
    "broken_off",
    "surplus_item",
    "missing_item",
    "wrong_request_id",
    "rate_refusal",
    "refusal",
    "redirect",
    "oversized",
    "gzip_bomb",
]


class Fixed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="distribution", tag="fixed"):
    """Every call takes the same time."""

    seconds: Seconds

    def draw(self, _: Random) -> float:
        """Seconds to wait."""
        return self.seconds


class LogNormal(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="distribution", tag="lognormal"
):
    """A log-normal distribution with this median and 99th percentile."""

    median: Annotated[float, Meta(gt=0, le=3600)]
    p99: Annotated[float, Meta(gt=0, le=3600)]

    def __post_init__(self) -> None:
        if self.p99 < self.median:
            raise ValueError("p99 must not be below the median")

    def draw(self, rng: Random) -> float:
        """Seconds to wait."""
        # 2.3263 is the 99th percentile of the standard normal distribution.
        return self.median * math.exp(rng.gauss(0, math.log(self.p99 / self.median) / 2.3263))


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Fault settings. For each kind: the probability that a call has this fault. Their sum must not exceed 1."""

    error: Probability = 0
    """Status 500."""
    unavailable: Probability = 0
    """Status 503."""
    hang: Probability = 0
    """No answer until the client disconnects or `hang_seconds` have passed. Then the connection is closed."""
    reset: Probability = 0
    """A connection reset before the reply."""
    garbage: Probability = 0
    """A body that is invalid in its content type."""
    truncated: Probability = 0
    """Half of a reply, with a matching Content-Length."""
    broken_off: Probability = 0
    """Half of a reply, then a closed connection."""
    surplus_item: Probability = 0
    """A reply with an item that was not asked."""
    missing_item: Probability = 0
    """A reply without the last item."""
    wrong_request_id: Probability = 0
    """A reply with the id of another request."""
    rate_refusal: Probability = 0
    """Status 429, with Retry-After of `retry_after` seconds."""
    refusal: Probability = 0
    """Status 400 for the whole batch."""
    redirect: Probability = 0
    """Status 307, with another location."""
    oversized: Probability = 0
    """A reply of `oversized_bytes`."""
    gzip_bomb: Probability = 0
    """A reply of `oversized_bytes`, compressed to a thousandth."""
    down: bool = False
    """Whether every call gets status 503."""
    poison: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Suffixes of numbers: a batch that contains such a number gets status 400."""
    latency: Fixed | LogNormal | None = None
    hang_seconds: Annotated[float, Meta(gt=0, le=3600)] = 300
    retry_after: Annotated[int, Meta(ge=0, le=3600)] = 1
    oversized_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 64 << 20

    def __post_init__(self) -> None:
        if sum(self.probabilities) > 1 + 1e-9:
            raise ValueError("the probabilities of the faults add up to more than 1")

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each kind, in the order of `KINDS`."""
        return tuple(getattr(self, kind) for kind in KINDS)


KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class FaultDrawer:
    """Draws the faults of calls. `settings` can be replaced at any time, without effect on the generator."""

    def __init__(self, settings: Faults, seed: int | str) -> None:
        self._rng = Random(seed)
        self.settings = settings

    @property
    def settings(self) -> Faults:
        """The current settings."""
        return self._settings

    @settings.setter
    def settings(self, settings: Faults) -> None:
        self._settings = settings
        self._probabilities = settings.probabilities
        self._any = any(self._probabilities)

    def draw(self) -> FaultKind | None:
        """The fault of the next call, or None."""
        if not self._any:
            return None
        chance = self._rng.random()
        for kind, probability in zip(KINDS, self._probabilities, strict=True):
            chance -= probability
            if chance < 0:
                return kind
        return None

    def latency(self) -> float:
        """The latency of the next call, in seconds."""
        return self._settings.latency.draw(self._rng) if self._settings.latency else 0.0
