"""When to stop asking an institution that is down, and how to find out that it is back.

                 failures reach the ratio
        CLOSED ───────────────────────────▶ OPEN ◀───────┐
          ▲                                  │ cooled    │ probe failed: cool down
          │ probe succeeded                  ▼ down      │ twice as long
          └────────────────────────────── HALF_OPEN ─────┘

1. CLOSED admits every call and keeps the last results. A failure that makes the share of failures among them reach
   the ratio opens it; a success never does.
2. OPEN admits nothing until it has cooled down.
3. HALF_OPEN admits one call, the probe, whose result decides. A probe that was ignored decides nothing: the next call
   is the probe.
4. Every change of state begins a new era, and a result counts only in the era in which its call began. So a call that
   began before the breaker opened, and ends late, neither closes nor re-opens it, nor touches the results after it:

       call A starts (era 0) · others fail, it opens (era 1) · cooled down (era 2) · probe B starts (era 2)
       · A times out: era 0, does not count · B succeeds: era 2, it closes.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import NewType


class State(StrEnum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    """What changes the state. Everything else leaves it."""

    RATIO_REACHED = "ratio_reached"
    COOLED_DOWN = "cooled_down"
    PROBE_SUCCEEDED = "probe_succeeded"
    PROBE_FAILED = "probe_failed"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.RATIO_REACHED): State.OPEN,
    (State.OPEN, Event.COOLED_DOWN): State.HALF_OPEN,
    (State.HALF_OPEN, Event.PROBE_SUCCEEDED): State.CLOSED,
    (State.HALF_OPEN, Event.PROBE_FAILED): State.OPEN,
}

Era = NewType("Era", int)
"""Handed out when a call starts, handed back with its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSpec:
    """When a breaker opens, and for how long (seconds).

    As simulated, an institution that fails 20 % of its calls at random opens it about once in 30 000 calls with the
    default window of 20; with a window of 40 and 20 minimum calls, not once in 2.5 million. A wider window takes longer
    to notice an institution that goes down after all went well: 24 failed calls instead of 12.
    """

    window: int = 20
    """Last results that are looked at."""
    minimum_calls: int = 10
    """Results below which nothing is concluded."""
    ratio: float = 0.6
    """Share of failures that opens it."""
    cool_down: float = 5.0
    """Long enough for a restart or a failover, short enough for a court that waits."""
    longest_cool_down: float = 60.0
    """Bound of the doubling: an institution that is back is found within a minute."""


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """A `Breaker` at one moment."""

    state: State
    calls: int
    """Results in the window."""
    failures: int
    """Failures among them."""
    opened: int
    """Times it has opened, failed probes included."""


class Breaker:
    """Lets calls through or not. Moments are seconds.

    Ask `admits`, and if it does, `start` the call and report its result exactly once, with the era `start` returned.
    """

    def __init__(self, spec: BreakerSpec | None = None) -> None:
        self._spec = spec or BreakerSpec()
        self._state = State.CLOSED
        self._era = Era(0)
        self._failed: deque[bool] = deque(maxlen=self._spec.window)
        self._cool_down = self._spec.cool_down
        self._retry_at = -inf
        self._probing = False
        self._opened = 0

    @property
    def state(self) -> State:
        """As of the last call to any other method: an open breaker turns half open when `admits` is asked."""
        return self._state

    def admits(self, now: float) -> bool:
        """Whether a call may start. Asking does not use up the probe."""
        if self._state is State.OPEN and now >= self._retry_at:
            self._enter(Event.COOLED_DOWN)
        return self._state is State.CLOSED or (self._state is State.HALF_OPEN and not self._probing)

    def wait(self, now: float) -> float:
        """Seconds until it admits a call; infinite while a probe is out, since only its result can tell."""
        if self._state is State.OPEN:
            return max(0.0, self._retry_at - now)
        return inf if self._probing else 0.0

    def start(self, now: float) -> Era:
        """A call begins.

        Raises:
            RuntimeError: the breaker does not admit it.
        """
        if not self.admits(now):
            raise RuntimeError(f"call started while the breaker is {self._state}")
        self._probing = self._state is State.HALF_OPEN
        return self._era

    def on_success(self, era: Era) -> None:
        """A call that started in `era` got its reply, whatever the reply says."""
        if era != self._era:
            return
        if self._probing:
            self._cool_down = self._spec.cool_down
            self._enter(Event.PROBE_SUCCEEDED)
        else:
            self._failed.append(False)

    def on_failure(self, era: Era, now: float) -> None:
        """A call that started in `era` failed."""
        if era != self._era:
            return
        if self._probing:
            self._cool_down = min(2 * self._cool_down, self._spec.longest_cool_down)
            self._open(Event.PROBE_FAILED, now)
            return
        self._failed.append(True)
        if self._is_ratio_reached():
            self._open(Event.RATIO_REACHED, now)

    def on_ignored(self, era: Era) -> None:
        """A call that started in `era` ended without a result, such as when nobody waited for it any more."""
        if era == self._era:
            self._probing = False

    def statistics(self) -> BreakerStatistics:
        """What a metric or a test wants to know."""
        return BreakerStatistics(self._state, len(self._failed), sum(self._failed), self._opened)

    def _is_ratio_reached(self) -> bool:
        calls = len(self._failed)
        return calls >= self._spec.minimum_calls and sum(self._failed) >= self._spec.ratio * calls

    def _open(self, event: Event, now: float) -> None:
        self._retry_at = now + self._cool_down
        self._opened += 1
        self._enter(event)

    def _enter(self, event: Event) -> None:
        self._state = TRANSITIONS[self._state, event]
        self._era = Era(self._era + 1)
        self._probing = False
        self._failed.clear()
