"""Faults on demand: what goes wrong, how often, and how slow everything is. Pure: the server acts the fault out.

Each call draws at most one fault, from a seeded generator, so a run can be repeated.
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
    """Most calls take about the median, one in a hundred more than `p99`."""

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
    """Fault settings: for each kind the probability that a call suffers it. They must not add up to more than 1."""

    error: Probability = 0
    """500."""
    unavailable: Probability = 0
    """503."""
    hang: Probability = 0
    """No answer until the client leaves, or `hang_seconds` have passed; then the connection is closed."""
    reset: Probability = 0
    """The connection is reset before the reply."""
    garbage: Probability = 0
    """A reply of the right type which is not in it."""
    truncated: Probability = 0
    """Half of a reply, in proper HTTP."""
    broken_off: Probability = 0
    """Half of a reply, then the connection is closed."""
    surplus_item: Probability = 0
    """A reply to one inquiry nobody made."""
    missing_item: Probability = 0
    """The last inquiry is passed over."""
    wrong_request_id: Probability = 0
    """The reply to another call."""
    rate_refusal: Probability = 0
    """429, with Retry-After of `retry_after` seconds."""
    refusal: Probability = 0
    """The batch as a whole is refused (400)."""
    redirect: Probability = 0
    """307 to somewhere else."""
    oversized: Probability = 0
    """`oversized_bytes` of reply."""
    gzip_bomb: Probability = 0
    """`oversized_bytes` of reply, compressed to a thousandth."""
    down: bool = False
    """Every call gets 503, without being read."""
    poison: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """A batch with a number that ends so is refused as a whole (400)."""
    latency: Fixed | LogNormal | None = None
    hang_seconds: Annotated[float, Meta(gt=0, le=3600)] = 300
    retry_after: Annotated[int, Meta(ge=0, le=3600)] = 1
    oversized_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 64 << 20

    def __post_init__(self) -> None:
        if sum(self.probabilities) > 1 + 1e-9:
            raise ValueError("the probabilities of the faults add up to more than 1")

    @property
    def probabilities(self) -> tuple[float, ...]:
        """One for each kind, in the order of `KINDS`."""
        return tuple(getattr(self, kind) for kind in KINDS)


KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class FaultDrawer:
    """Draws what happens to each call. `settings` can be replaced at any time; the generator goes on."""

    def __init__(self, settings: Faults, seed: int | str) -> None:
        self._rng = Random(seed)
        self.settings = settings

    @property
    def settings(self) -> Faults:
        """What is in force."""
        return self._settings

    @settings.setter
    def settings(self, settings: Faults) -> None:
        self._settings = settings
        self._probabilities = settings.probabilities
        self._any = any(self._probabilities)

    def draw(self) -> FaultKind | None:
        """The fault of the next call, if it has one."""
        if not self._any:
            return None
        chance = self._rng.random()
        for kind, probability in zip(KINDS, self._probabilities, strict=True):
            chance -= probability
            if chance < 0:
                return kind
        return None

    def latency(self) -> float:
        """Seconds the next call takes before it is answered."""
        return self._settings.latency.draw(self._rng) if self._settings.latency else 0.0
