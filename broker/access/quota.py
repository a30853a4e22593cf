"""Quotas of distinct subjects: which ones a request is charged to, and when they start anew. Pure.

A subject that is asked for twice within a quota's scope counts once, whatever institutions were asked, whether the
answer came from the cache, and whether there was one. However a court writes its own code and the number of a case, it
is the same case of the same court: 内01 is 蒙01, and 之一 is no other case.
"""

import hashlib
from dataclasses import dataclass, fields

from broker.core.subjects.case_number import without_parts
from broker.core.subjects.court import lineage
from broker.model import Mandate

_DAY = 86_400  # s
_ZONE = 8 * 3600
"""Seconds ahead of UTC: days begin at midnight in China, which has one time zone and no summer time."""
_KEY_SIZE = 16


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many distinct subjects a rule allows; None: any number. The names are those in policies and refusals."""

    case: int | None = None
    """In a case, over all its life."""
    case_per_day: int | None = None
    officer_per_day: int | None = None
    """For each officer of a court."""
    court_per_day: int | None = None


NO_QUOTAS = Quotas()
QUOTAS = tuple(one.name for one in fields(Quotas))


@dataclass(frozen=True, slots=True)
class Scope:
    """What one quota counts subjects for: a case, or a court's, an officer's or a case's day."""

    quota: str
    key: bytes
    """16 bytes that stand for the case, court or officer; without the day."""
    limit: int
    day: int | None
    """Days since 1970 in China; None: for ever."""

    @property
    def resets_at(self) -> float | None:
        """When it starts anew, in seconds since the epoch; None: never."""
        return None if self.day is None else float((self.day + 1) * _DAY - _ZONE)


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A quota that a request would exceed."""

    scope: Scope
    used: int
    """Distinct subjects it was charged with before."""
    wanted: int
    """Further distinct subjects that the request is about."""


def day_of(now: float) -> int:
    """The day in China, in days since 1970. `now`: seconds since the epoch."""
    return int((now + _ZONE) // _DAY)


def scopes(quotas: Quotas, mandate: Mandate, now: float) -> tuple[Scope, ...]:
    """What a request is charged to. `now`: seconds since the epoch."""
    if quotas == NO_QUOTAS:
        return ()
    court, day = lineage(mandate.court)[0], day_of(now)
    case = without_parts(mandate.case_number).replace(mandate.court.code, court)
    charged = (
        ("case", quotas.case, None, (court, case)),
        ("case_per_day", quotas.case_per_day, day, (court, case)),
        ("officer_per_day", quotas.officer_per_day, day, (court, mandate.officer)),
        ("court_per_day", quotas.court_per_day, day, (court,)),
    )
    return tuple(Scope(name, _key(name, *of), limit, on) for name, limit, on, of in charged if limit is not None)


def _key(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=_KEY_SIZE).digest()
